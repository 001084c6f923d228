// Usage: with-sdk.js NATS_URL USER_ID SUB
// The same with the CloudEvents SDK: the user in binary mode, the profile in structured mode.
import assert from "node:assert/strict";
import { jetstream, type JetStreamClient } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { CloudEvent, HTTP, type Message } from "cloudevents";
import { publish } from "./publisher.js";

type Kind = "user" | "profile";

/** One event. Its id is made from the change: the SDK's random ids are no ids of a change. */
function event(kind: Kind, id: string, userId: string, version: number, name: string, rest: object) {
  return new CloudEvent({
    id: `${kind}:${id}:${version}`,
    source: "/examples/node/with-sdk",
    type: `app.connvo.${kind}.${name}.v1`,
    subject: userId,
    datacontenttype: "application/json",
    data: { entity: { kind, id, userId, version }, ...rest },
  });
}

/** NATS has headers like HTTP, so the SDK's messages for HTTP are what the stream takes. */
function send(js: JetStreamClient, event: CloudEvent<object>, message: Message, after?: number) {
  const kind = event.type.split(".")[2];
  // Values that are no text are not for NATS.
  const headers = Object.entries(message.headers).map(([name, value]) => [name, String(value)]);
  return publish(
    js,
    {
      id: event.id,
      subject: `identity.v1.${event.subject}.${kind}`,
      headers: Object.fromEntries(headers),
      body: message.body as string,
    },
    after,
  );
}

const [url, userId, sub] = process.argv.slice(2);
assert.ok(url && userId && sub);
const times = { createdAt: Date.now(), updatedAt: Date.now() };
const registered = event("user", userId, userId, 1, "registered", {
  state: { workosUserId: sub, email: "grace@example.com", isActive: true, ...times },
});
const created = event("profile", `${userId}-profile`, userId, 1, "created", {
  state: { displayName: "Ada", languages: ["English"], bio: "Looms. \u{1f9f5}", ...times },
});

const connection = await connect({ servers: url });
const js = jetstream(connection);
await send(js, registered, HTTP.binary(registered), 0);
const last = await send(js, created, HTTP.structured(created), 0);
assert.equal(await send(js, created, HTTP.structured(created), 0), last);
// The same change in the other mode is the same change.
assert.equal(await send(js, created, HTTP.binary(created)), last);
await connection.drain();
console.log(JSON.stringify({ sequence: last }));
