"""Publishes one event so that it is in the stream exactly once, whatever happens on the way."""

import asyncio

import nats.errors
from nats.js.errors import APIError, NotFoundError

STREAM = "IDENTITY_EVENTS"
ATTEMPTS = 5
WRONG_LAST_SEQUENCE = 10071


class Conflict(Exception):
    """Somebody else changed the document in between: read it again and decide anew."""


async def publish(js, subject, headers, payload, after=None):
    """Publishes and waits for the acknowledgement; gives its sequence.

    `headers` have `Nats-Msg-Id`, made from the change and not from the attempt: a message that the
    server already has is acknowledged as a duplicate, so sending it again is safe.

    `after` asks for compare-and-set: the sequence of the last message on this subject that the caller
    knows of, 0 for none. The server checks it before it looks for duplicates, so a retry of a message
    that did land is refused too; then the subject's last message tells which it was.
    """
    headers = dict(headers)
    if after is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(after)
    for attempt in range(ATTEMPTS):
        try:
            ack = await js.publish(subject, payload, stream=STREAM, headers=headers, timeout=5)
            return ack.seq
        except APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise
            landed = await sequence_of(js, subject, headers["Nats-Msg-Id"])
            if landed is None:
                raise Conflict(subject) from error
            return landed
        except nats.errors.Error:
            # No acknowledgement: it may be in the stream or not. The same id makes both right.
            if attempt + 1 == ATTEMPTS:
                raise
            await asyncio.sleep(0.2 * 2**attempt)


async def sequence_of(js, subject, message_id):
    """The sequence of the subject's last message, if it is the one of this id."""
    try:
        last = await js.get_last_msg(STREAM, subject)
    except NotFoundError:
        return None
    return last.seq if (last.headers or {}).get("Nats-Msg-Id") == message_id else None
