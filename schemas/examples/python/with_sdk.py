"""Usage: with_sdk.py NATS_URL USER_ID SUB

The same with the CloudEvents SDK: the user in binary mode, the profile in structured mode.
"""

import asyncio
import json
import sys
import time

import nats
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from publisher import publish


def event(kind, document, user, version, name, rest):
    """One event. Its id is made from the change: the SDK's random ids are no ids of a change."""
    return CloudEvent(
        attributes={
            "id": f"{kind}:{document}:{version}",
            "source": "/examples/python/with-sdk",
            "type": f"app.connvo.{kind}.{name}.v1",
            "subject": user,
            "datacontenttype": "application/json",
        },
        data={"entity": {"kind": kind, "id": document, "userId": user, "version": version}, **rest},
    )


async def send(js, event, message, after):
    """NATS has headers like HTTP, so the SDK's messages for HTTP are what the stream takes."""
    kind = event.get_type().split(".")[2]
    headers = {**message.headers, "Nats-Msg-Id": event.get_id()}
    return await publish(js, f"identity.v1.{event.get_subject()}.{kind}", headers, message.body, after)


async def main(url, user, sub):
    now = time.time() * 1000
    times = {"createdAt": now, "updatedAt": now}
    registered = event("user", user, user, 1, "registered", {
        "state": {"workosUserId": sub, "email": "grace@example.com", "isActive": True, **times},
    })
    created = event("profile", f"{user}-profile", user, 1, "created", {
        "state": {"displayName": "Ada", "languages": ["English"], "bio": "Looms. \U0001f9f5", **times},
    })
    client = await nats.connect(url)
    js = client.jetstream()
    await send(js, registered, to_binary_event(registered), after=0)
    last = await send(js, created, to_structured_event(created), after=0)
    assert await send(js, created, to_structured_event(created), after=0) == last
    # The same change in the other mode is the same change.
    assert await send(js, created, to_binary_event(created), after=None) == last
    await client.drain()
    print(json.dumps({"sequence": last}))


asyncio.run(main(*sys.argv[1:]))
