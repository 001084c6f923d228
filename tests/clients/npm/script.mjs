// What a live client's script says and is bid, one JSON text a line.
import { createInterface } from "node:readline";

// Standard output is for what is said; the libraries' own words go to standard error.
for (const level of ["log", "info", "debug", "warn"]) console[level] = console.error;

export const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

export async function* orders() {
  for await (const line of createInterface({ input: process.stdin })) yield JSON.parse(line);
}
