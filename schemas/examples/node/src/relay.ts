// The relay of an outbox: publishes its rows in order, and takes away what the read model has applied.
// Runs beside the app (Convex functions cannot hold a NATS connection); one at a time is enough, and
// two do no harm.
import type { JetStreamClient } from "@nats-io/jetstream";
import { publish } from "./publisher.js";

export interface Row {
  id: string;
  event: { id: string; type: string; subject: string };
}

/** The outbox, however it is reached: for Convex, `convex/outbox.ts` by an admin client. */
export interface Outbox {
  /** Oldest first. */
  unpublished(): Promise<Row[]>;
  published(id: string, sequence: number): Promise<void>;
  applied(appliedSequence: number): Promise<void>;
}

/** Publishes what waits, one after the other, so that a document's versions keep their order. */
export async function publishAll(js: JetStreamClient, outbox: Outbox): Promise<void> {
  for (;;) {
    const rows = await outbox.unpublished();
    if (rows.length === 0) return;
    for (const { id, event } of rows) {
      const kind = event.type.split(".")[2];
      const sequence = await publish(js, {
        id: event.id,
        subject: `identity.v1.${event.subject}.${kind}`,
        headers: { "Content-Type": "application/cloudevents+json" },
        body: JSON.stringify(event),
      });
      await outbox.published(id, sequence);
    }
  }
}

/** Takes away the rows that the service behind `admin` (its `--admin-listen`) has applied. */
export async function clear(admin: string, outbox: Outbox): Promise<void> {
  const response = await fetch(`${admin}/status`);
  if (!response.ok) throw new Error(`${admin}/status answered ${response.status}`);
  const { applied_sequence } = (await response.json()) as { applied_sequence: number };
  await outbox.applied(applied_sequence);
}
