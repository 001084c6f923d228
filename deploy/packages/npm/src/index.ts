/**
 * Tests of producers: given these events, then this answer, this parked record, this digest.
 *
 * The events are folded by the service's own program, without a broker. `startDev` starts the whole.
 */
export { findBinary } from "./binary.js";
export { Person } from "./people.js";
export { Replay, ReplayError, Replayer, replay, replayFile } from "./replay.js";
export type { Line, Parked } from "./replay.js";
export { assertAnswer, assertDigest, assertParked } from "./assertions.js";
export { Dev, startDev } from "./dev.js";
export type { DevOptions } from "./dev.js";
export type * from "./events.js";
