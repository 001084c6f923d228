/** Replays, asked of one process that stays. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";

import { findBinary } from "./binary.js";
import type { Event, Profile } from "./events.js";

/** An event, or a line of a file as text: a payload in it counts byte for byte. */
export type Line = Event | Record<string, unknown> | string;

/** A parked record. */
export interface Parked {
  /** Its place in the stream, from 1. */
  sequence: number;
  /** `<userId>.<user|profile|quarantine>`; null when its subject names no lane. */
  lane: string | null;
  /** The contract's word for why. */
  reason: string;
  /** What is wrong with an invalid one. */
  detail?: string;
}

interface Told {
  id: number;
  error?: { message: string; event?: number };
  sequence: number;
  users: number;
  profiles: number;
  parked: Parked[];
  outcomes: Record<string, number>;
  digest: string;
  answers: Record<string, Profile | null>;
}

/** The events cannot be replayed, or the question cannot be answered. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
  /** The place of the event that it is about, from 1. */
  readonly event: number | undefined;

  constructor(message: string, event?: number) {
    super(event === undefined ? message : `event ${event}: ${message}`);
    this.event = event;
  }
}

interface Waiting {
  resolve: (told: Told) => void;
  reject: (error: Error) => void;
}

/** What `said` keeps of standard error. */
const SAID_MAX = 4096;

/** A process that replays. `replay` uses one that all tests of a process share. */
export class Replayer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #said = "";
  #ended: Error | undefined;

  constructor(binary = findBinary()) {
    const child = spawn(binary, ["replay", "--serve"], { stdio: "pipe" });
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(0, SAID_MAX);
    });
    createInterface({ input: child.stdout }).on("line", (line) => this.#take(line));
    // The end of the process tells why it cannot be written to.
    child.stdin.on("error", () => {});
    child.on("error", (problem) => this.#end(`${binary} cannot be run: ${problem.message}`));
    child.on("close", (code) => this.#end(`${binary} ended with code ${code}: ${this.#said.trim()}`));
    this.#hold(false);
  }

  /** Whether it can still be asked. */
  get runs(): boolean {
    return this.#ended === undefined;
  }

  /** What these events come to. `until` is the last place that counts. */
  async replay(events: Iterable<Line>, { until }: { until?: number } = {}): Promise<Replay> {
    const texts = [...events].map((line, index) => textOf(line, index + 1));
    const ask = (subs: string[], until?: number) => this.#ask(texts, subs, until);
    return new Replay(ask, await ask([], until), until);
  }

  /** Ends the process. */
  close(): void {
    this.#child.stdin?.end();
    this.#ended ??= new ReplayError("this Replayer is closed");
  }

  #ask(texts: string[], subs: string[], until?: number): Promise<Told> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#next++;
    const rest = JSON.stringify({ id, as: subs, ...(until === undefined ? {} : { until }) });
    const told = new Promise<Told>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#hold(true);
    this.#child.stdin?.write(`${rest.slice(0, -1)},"events":[${texts.join(",")}]}\n`);
    return told;
  }

  #take(line: string): void {
    const told = JSON.parse(line) as Told;
    // A request that is too long to be read is answered without its id, in its turn.
    const id = told.id ?? this.#waiting.keys().next().value;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#hold(false);
    if (told.error === undefined) waiting?.resolve(told);
    else waiting?.reject(new ReplayError(told.error.message, told.error.event));
  }

  #end(message: string): void {
    this.#ended ??= new ReplayError(message);
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  /** The process keeps ours alive as long as an answer is waited for. */
  #hold(held: boolean): void {
    const how = held ? "ref" : "unref";
    this.#child[how]();
    for (const pipe of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      (pipe as Socket | null)?.[how]();
    }
  }
}

/** What events come to. */
export class Replay {
  readonly #ask: (subs: string[], until?: number) => Promise<Told>;
  readonly #until: number | undefined;
  readonly #answers = new Map<string, Profile | null>();
  /** The last place that was replayed, 0 before the first. */
  readonly sequence: number;
  readonly users: number;
  readonly profiles: number;
  /** What is parked, in the order of the stream. */
  readonly parked: Parked[];
  /** What became of the events: how many were `applied`, ... */
  readonly outcomes: Record<string, number>;
  /** The digest of the rows, as `/status` of a service tells it. */
  readonly digest: string;

  /** @internal */
  constructor(ask: (subs: string[], until?: number) => Promise<Told>, told: Told, until: number | undefined) {
    this.#ask = ask;
    this.#until = until;
    this.sequence = told.sequence;
    this.users = told.users;
    this.profiles = told.profiles;
    this.parked = told.parked;
    this.outcomes = told.outcomes;
    this.digest = told.digest;
  }

  /** The query's value for a token of this identity: the profile, or null. */
  async answer(sub: string): Promise<Profile | null> {
    const known = this.#answers.get(sub);
    if (known !== undefined) return known;
    const answer = (await this.#ask([sub], this.#until)).answers[sub] ?? null;
    this.#answers.set(sub, answer);
    return answer;
  }

  /** What the events come to up to this place, that one included. */
  async until(sequence: number): Promise<Replay> {
    return new Replay(this.#ask, await this.#ask([], sequence), sequence);
  }
}

/** @internal */
export function textOf(line: Line, place: number): string {
  if (typeof line !== "string") return JSON.stringify(line);
  try {
    JSON.parse(line);
  } catch (problem) {
    throw new ReplayError(`it is not JSON: ${(problem as Error).name}`, place);
  }
  // Between the tokens of JSON, a line's end is a blank like any other.
  return line.replace(/[\r\n]/g, " ");
}

let shared: Replayer | undefined;

/** What these events come to: the service's own rows and answers, without a broker. */
export function replay(events: Iterable<Line>, options: { until?: number } = {}): Promise<Replay> {
  if (!shared?.runs) shared = new Replayer();
  return shared.replay(events, options);
}

/** What a file of events comes to, one a line. */
export async function replayFile(path: string | URL, options: { until?: number } = {}): Promise<Replay> {
  const lines = (await readFile(path, "utf8")).split("\n");
  return replay(lines.filter((line) => line.trim() !== ""), options);
}
