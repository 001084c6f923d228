// Usage: relay-file.js NATS_URL ADMIN_URL FILE
// The relay with an outbox in memory, filled from a file of structured events: what a Convex app's
// outbox is reached by an admin client for.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { clear, publishAll, type Outbox, type Row } from "./relay.js";

class InMemory implements Outbox {
  readonly rows = new Map<string, Row & { sequence?: number }>();

  async unpublished() {
    return [...this.rows.values()].filter((row) => row.sequence === undefined).slice(0, 3);
  }

  async published(id: string, sequence: number) {
    const row = this.rows.get(id);
    if (row) row.sequence = sequence;
  }

  async applied(appliedSequence: number) {
    for (const [id, { sequence = Infinity }] of this.rows) {
      if (sequence <= appliedSequence) this.rows.delete(id);
    }
  }
}

const [url, admin, file] = process.argv.slice(2);
assert.ok(url && admin && file);
const outbox = new InMemory();
for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
  const event = JSON.parse(line);
  outbox.rows.set(event.id, { id: event.id, event });
}
const connection = await connect({ servers: url });
const js = jetstream(connection);
await publishAll(js, outbox);
const sequences = [...outbox.rows.values()].map(({ sequence = 0 }) => sequence);
// The relay was killed before it could note the acknowledgements, say: it does everything again.
for (const row of outbox.rows.values()) delete row.sequence;
await publishAll(js, outbox);
assert.deepEqual([...outbox.rows.values()].map(({ sequence }) => sequence), sequences);
await connection.drain();
while (outbox.rows.size > 0) {
  await clear(admin, outbox);
  await sleep(50);
}
console.log(JSON.stringify({ sequence: Math.max(...sequences) }));
