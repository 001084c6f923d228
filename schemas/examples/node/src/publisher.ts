// Publishes one event so that it is in the stream exactly once, whatever happens on the way.
import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamApiCodes, JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers as newHeaders } from "@nats-io/transport-node";

const STREAM = "IDENTITY_EVENTS";
const ATTEMPTS = 5;

/** Somebody else changed the document in between: read it again and decide anew. */
export class Conflict extends Error {}

export interface Outgoing {
  subject: string;
  headers: Record<string, string>;
  body: string | Uint8Array;
  /** Made from the change and not from the attempt: a retry of the same change has the same id. */
  id: string;
}

/**
 * Publishes and waits for the acknowledgement; gives its sequence.
 *
 * A message that the server already has is acknowledged as a duplicate, so sending it again is safe.
 * `after` asks for compare-and-set: the sequence of the last message on this subject that the caller
 * knows of, 0 for none. The server checks it before it looks for duplicates, so a retry of a message
 * that did land is refused too; then the subject's last message tells which it was.
 */
export async function publish(js: JetStreamClient, event: Outgoing, after?: number): Promise<number> {
  const headers = newHeaders();
  for (const [name, value] of Object.entries(event.headers)) headers.set(name, value);
  const expect = { streamName: STREAM, ...(after === undefined ? {} : { lastSubjectSequence: after }) };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const options = { msgID: event.id, headers, expect, timeout: 5_000, retries: 0 };
      return (await js.publish(event.subject, event.body, options)).seq;
    } catch (error) {
      if (error instanceof JetStreamApiError) {
        if (error.code !== JetStreamApiCodes.StreamWrongLastSequence) throw error;
        const landed = await sequenceOf(js, event);
        if (landed === undefined) throw new Conflict(event.subject, { cause: error });
        return landed;
      }
      // No acknowledgement: it may be in the stream or not. The same id makes both right.
      if (attempt === ATTEMPTS) throw error;
      await sleep(200 * 2 ** attempt);
    }
  }
}

/** The sequence of the subject's last message, if it is this event. */
async function sequenceOf(js: JetStreamClient, event: Outgoing): Promise<number | undefined> {
  const manager = await js.jetstreamManager();
  const last = await manager.streams.getMessage(STREAM, { last_by_subj: event.subject });
  return last?.header.get("Nats-Msg-Id") === event.id ? last.seq : undefined;
}
