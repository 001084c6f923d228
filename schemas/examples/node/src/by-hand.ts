// Usage: by-hand.js NATS_URL USER_ID SUB
// A user signs up: the user document and its default profile, then a change of the profile. Events in
// binary mode, with headers by hand.
import assert from "node:assert/strict";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Conflict, publish, type Outgoing } from "./publisher.js";

type Kind = "user" | "profile";

function event(kind: Kind, id: string, userId: string, version: number, name: string, rest: object): Outgoing {
  const change = `${kind}:${id}:${version}`;
  return {
    id: change,
    subject: `identity.v1.${userId}.${kind}`,
    headers: {
      "Content-Type": "application/json",
      "ce-specversion": "1.0",
      "ce-id": change,
      "ce-source": "/examples/node/by-hand",
      "ce-type": `app.connvo.${kind}.${name}.v1`,
    },
    body: JSON.stringify({ entity: { kind, id, userId, version }, ...rest }),
  };
}

const [url, userId, sub] = process.argv.slice(2);
assert.ok(url && userId && sub);
const times = { createdAt: Date.now(), updatedAt: Date.now() };
const registered = event("user", userId, userId, 1, "registered", {
  state: { workosUserId: sub, email: "ada@example.com", isActive: true, ...times },
});
const profile = `${userId}-profile`;
const created = event("profile", profile, userId, 1, "created", {
  state: { displayName: "Ada", languages: ["English"], ...times },
});
const updated = event("profile", profile, userId, 2, "updated", {
  state: { displayName: "Ada", languages: ["English"], bio: "Looms. \u{1f9f5}", ...times },
  changed: ["bio"],
});

const connection = await connect({ servers: url });
const js = jetstream(connection);
// Nobody else may have made this user and this profile: 0 messages before.
await publish(js, registered, 0);
const first = await publish(js, created, 0);
// The acknowledgement was lost, say: the same again is no second change.
assert.equal(await publish(js, created), first);
assert.equal(await publish(js, created, 0), first);
const last = await publish(js, updated, first);
// Made of version 1, which is not the last one any more.
await assert.rejects(publish(js, { ...updated, id: "late" }, first), Conflict);
await connection.drain();
// Keep the outbox row until the read model's applied_sequence has reached this.
console.log(JSON.stringify({ sequence: last }));
