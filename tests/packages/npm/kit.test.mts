// A producer's tests, with the packages as npm installs them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import test, { after } from "node:test";

import {
  type Event,
  type Profile,
  Person,
  ReplayError,
  Replayer,
  assertAnswer,
  assertDigest,
  assertParked,
  findBinary,
  replay,
  replayFile,
  startDev,
} from "@connvo/profile-projector";

const folder = mkdtempSync(join(tmpdir(), "kit-"));
after(() => rmSync(folder, { recursive: true }));

function ada(): [Person, Event[]] {
  const person = new Person("ada", { profile: "p" });
  return [person, [person.registered("user_01ADA"), person.written({ displayName: "Ada", age: 36.5 })]];
}

test("ESM and CommonJS are one module", async () => {
  const required = createRequire(import.meta.url)("@connvo/profile-projector");
  assert.equal(required.replay, replay);
  assert.equal(typeof required.startDev, "function");
});

test("the command is the package's own", () => {
  const said = execFileSync("node_modules/.bin/profile-projector", ["--version"], { encoding: "utf8" });
  assert.equal(said, execFileSync(findBinary(), ["--version"], { encoding: "utf8" }));
  assert.throws(
    () => execFileSync("node_modules/.bin/profile-projector", ["check", "/nowhere"], { stdio: "pipe" }),
    (problem: { status: number }) => problem.status === 1,
  );
});

test("an answer, a parked record and a digest", async () => {
  const [person, events] = ada();
  person.lost();
  events.push(person.patched({ bio: "I build looms." }));
  const result = await replay(events);
  const expected: Profile = {
    _id: "p", userId: "ada", displayName: "Ada", age: 36.5, languages: [], createdAt: 0, updatedAt: 0,
  };
  await assertAnswer(result, "user_01ADA", expected);
  await assertAnswer(result, "user_01BOB", null);
  assertParked(result, [[3, "patch_base"]]);
  assert.equal(result.parked[0]?.lane, "ada.profile");
  const earlier = await result.until(2);
  assertParked(earlier, []);
  assertDigest(earlier, (await replay(events.slice(0, 2))).digest);
  await assertAnswer(await result.until(1), "user_01ADA", null);
  await assert.rejects(assertAnswer(result, "user_01ADA", { ...expected, displayName: "Bob" }), assert.AssertionError);
  assert.throws(() => assertParked(result, []), assert.AssertionError);
  assert.throws(() => assertDigest(result, ""), assert.AssertionError);
});

test("every event of a person is applied and passes the checker", async () => {
  const [person, events] = ada();
  events.push(
    person.updated({ email: "ada@example.com" }), person.deactivated(), person.reactivated(),
    person.written({ bio: "x" }), person.patched({ bio: null }), person.profileDeleted(),
    person.written({ displayName: "Ada" }), person.profileErased(),
    person.deleted(), person.registered("user_02ADA"), person.erased(),
  );
  const result = await replay(events);
  assert.deepEqual(result.outcomes, { applied: 9, deleted: 2, erased: 2 });
  const file = join(folder, "events.ndjson");
  writeFileSync(file, events.map((event) => JSON.stringify(event)).join("\n"));
  execFileSync(findBinary(), ["check", file]);
  assertDigest(await replayFile(file), result.digest);
  assert.throws(() => new Person("new").deactivated(), /registered comes first/);
});

test("lines count byte for byte", async () => {
  const result = await replay(['{"subject":"identity.v1.u1.user",\n "payload":{"entity" : {"kind":"user"}}}']);
  assertParked(result, [[1, "invalid"]]);
});

test("what is wrong is named", async () => {
  const [person, events] = ada();
  const problem = await replay([...events, { specversion: "1.0" }]).catch((problem) => problem);
  assert.ok(problem instanceof ReplayError, problem);
  assert.equal(problem.event, 3);
  assert.match(problem.message, /^event 3: .*name no subject/);
  await assert.rejects(replay(['{"a":1}],"as":["x"']), /event 1: it is not JSON/);
  await assert.rejects((await replay(events)).answer(""), /as: no identity/);
  const long = replay([person.written({ bio: "x".repeat(17_000_000) })]);
  await assert.rejects(long, /the request has more than 16777216 bytes/);
  assert.equal((await replay(events)).users, 1, "a refusal ends nothing");
});

test("a replayer that is closed or has ended says so", async () => {
  const replayer = new Replayer();
  const result = await replayer.replay(ada()[1]);
  replayer.close();
  await assert.rejects(result.answer("user_01ADA"), /closed/);
  const program = join(folder, "old-program");
  writeFileSync(program, "#!/bin/sh\necho 'unexpected argument --serve' >&2\nexit 2\n");
  chmodSync(program, 0o755);
  await assert.rejects(new Replayer(program).replay([]), /ended with code 2: unexpected argument --serve/);
  await assert.rejects(new Replayer("/nowhere/program").replay([]), /cannot be run|ended with code/);
});

test("replays at once do not mix", async () => {
  const asked = Array.from({ length: 100 }, async (_, number) => {
    const person = new Person(`u${number}`);
    const result = await replay([person.registered(`user_${number}`), person.written({ displayName: `${number}` })]);
    return (await result.answer(`user_${number}`))?.displayName;
  });
  assert.deepEqual(await Promise.all(asked), Array.from({ length: 100 }, (_, number) => `${number}`));
});

test("a thousand replays", async () => {
  const [, events] = ada();
  await replay(events);
  const begun = performance.now();
  for (let round = 0; round < 1000; round += 1) await replay(events);
  console.log(`Node: ${((performance.now() - begun) / 1000).toFixed(3)} ms a replay`);
});

test("the whole service", async () => {
  const dev = await startDev();
  try {
    const person = new Person("ada-of-the-service");
    await dev.publish([person.registered("user_01KIT"), person.written({ displayName: "Ada" })]);
    assert.equal((await dev.answer("user_01KIT"))?.displayName, "Ada");
    await dev.publish([person.patched({ displayName: "Grace" })]);
    assert.equal((await dev.answer("user_01KIT"))?.displayName, "Grace");
    assert.equal(await dev.answer(null), null);
    const wrong = dev.publish([person.written({ age: "old" as unknown as number })]);
    await assert.rejects(wrong, /publish ended with code 1: line 1: data.state.age/);
  } finally {
    await dev.stop();
  }
  assert.ok(!existsSync(dev.folder));
  await assert.rejects(
    startDev({ natsServer: "/nowhere/nats-server" }),
    /dev ended with code 1: .*\/nowhere\/nats-server, which is no nats-server/,
  );
});
