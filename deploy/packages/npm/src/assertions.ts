/** Assertions for node:test and every runner that takes an error for a failure. */
import assert from "node:assert/strict";

import type { Profile } from "./events.js";
import type { Replay } from "./replay.js";

/** The answer to a token of this identity is this profile, or null. */
export async function assertAnswer(replay: Replay, sub: string, expected: Profile | null): Promise<void> {
  assert.deepEqual(await replay.answer(sub), expected);
}

/** These records are parked and no others: places and reasons. */
export function assertParked(replay: Replay, expected: [sequence: number, reason: string][]): void {
  assert.deepEqual(
    replay.parked.map(({ sequence, reason }) => [sequence, reason]),
    expected,
  );
}

/** The rows have this digest. */
export function assertDigest(replay: Replay, expected: string): void {
  assert.equal(replay.digest, expected);
}
