/** The whole service on this machine, for integration tests. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { openSync, closeSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { findBinary } from "./binary.js";
import type { Profile } from "./events.js";
import { type Line, textOf } from "./replay.js";

export interface DevOptions {
  /** The nats-server to run. Without it, the one on PATH is taken, or one is installed at first use. */
  natsServer?: string;
  binary?: string;
  /** How long it may take to start, in milliseconds. */
  startWithin?: number;
}

const QUERY = "/api/run/profiles/queries/getCurrentUserProfile";

/** This environment, without what says where somebody's own NATS is. */
function environment(): NodeJS.ProcessEnv {
  const ours = /^(NATS_(?!SERVER_BIN$)|PROFILE_PROJECTOR_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

/** A running `profile-projector dev`: nats-server, stream, sample people, projector and query service. */
export class Dev {
  readonly #binary: string;
  readonly #child: ChildProcess;
  /** Everything that it keeps. */
  readonly folder: string;
  /** Where clients ask: a Convex SDK takes it as its deployment. */
  readonly url: string;
  /** Where `/status`, `/readyz` and `/metrics` are. */
  readonly adminUrl: string;
  /** Where producers publish. */
  readonly natsUrl: string;

  /** @internal */
  constructor(binary: string, child: ChildProcess, folder: string, ports: Record<string, number>) {
    this.#binary = binary;
    this.#child = child;
    this.folder = folder;
    this.url = `http://127.0.0.1:${ports.listen}`;
    this.adminUrl = `http://127.0.0.1:${ports.admin}`;
    this.natsUrl = `nats://127.0.0.1:${ports.nats}`;
  }

  /** Checks the events, publishes them, and returns when they are applied. */
  async publish(events: Iterable<Line>): Promise<void> {
    const lines = [...events].map((line, index) => textOf(line, index + 1)).join("\n");
    await this.run(["publish", "-", "--nats-url", this.natsUrl, "--wait", this.adminUrl], lines);
  }

  /** A token of this identity. */
  async token(sub: string): Promise<string> {
    return (await this.run(["token", "--data-dir", this.folder, "--subject", sub])).trim();
  }

  /** What a client is answered over HTTP with a token of this identity; without one if null. */
  async answer(sub: string | null): Promise<Profile | null> {
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (sub !== null) headers.Authorization = `Bearer ${await this.token(sub)}`;
    const response = await fetch(this.url + QUERY, { method: "POST", headers, body: '{"args":{}}' });
    if (!response.ok) throw new Error(`the query is answered with ${response.status}`);
    return ((await response.json()) as { value: Profile | null }).value;
  }

  /** Runs a command of the program. Gives what it printed. */
  run(args: string[], input = ""): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { env: environment(), timeout: 120_000 };
      const child = execFile(this.#binary, args, options, (problem, stdout, stderr) => {
        if (!problem) resolve(stdout);
        else reject(new Error(`${args[0]} ended with code ${problem.code}: ${(stderr + stdout).trim()}`));
      });
      child.stdin?.on("error", () => {});
      child.stdin?.end(input);
    });
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    await end(this.#child);
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** How long it may take to end by itself, in milliseconds. */
const END_WITHIN = 20_000;

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const late = setTimeout(() => child.kill("SIGKILL"), END_WITHIN);
  child.kill("SIGTERM");
  await ended;
  clearTimeout(late);
}

/** Starts `profile-projector dev` in a folder of its own, on free ports, and returns when it answers. */
export async function startDev(options: DevOptions = {}): Promise<Dev> {
  const { natsServer, binary = findBinary(), startWithin = 120_000 } = options;
  const folder = await mkdtemp(join(tmpdir(), "profile-projector-"));
  const listen = ["--listen", "--admin-listen", "--nats-listen"].map((flag) => `${flag}=127.0.0.1:0`);
  const args = ["dev", "--data-dir", folder, ...listen];
  if (natsServer !== undefined) args.push("--nats-server", natsServer);
  const log = openSync(join(folder, "dev.log"), "w");
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", log], env: environment() });
  closeSync(log);
  // Whoever forgets to stop it leaves nothing running.
  const kill = () => child.kill("SIGTERM");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  try {
    await untilItRuns(child, startWithin);
    const ports = JSON.parse(await readFile(join(folder, "ports.json"), "utf8")) as Record<string, number>;
    return new Dev(binary, child, folder, ports);
  } catch (problem) {
    await end(child);
    const said = await readFile(join(folder, "dev.log"), "utf8").catch(() => "");
    await rm(folder, { recursive: true, force: true });
    throw new Error(`dev ${(problem as Error).message}: ${said.trim()}`);
  }
}

function untilItRuns(child: ChildProcess, within: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("does not run yet")), within);
    const settle = (done: () => void) => {
      clearTimeout(late);
      done();
    };
    child.once("error", (problem) => settle(() => reject(problem)));
    child.once("exit", (code) => settle(() => reject(new Error(`ended with code ${code}`))));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("Everything runs")) settle(resolve);
    });
  });
}
