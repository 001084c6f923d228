"""Usage: by_hand.py NATS_URL USER_ID SUB

A user signs up: the user document and its default profile, then a change of the profile. Events in
binary mode, with headers by hand.
"""

import asyncio
import json
import sys
import time

import nats

from publisher import Conflict, publish


def event(kind, document, user, version, name, rest):
    """Subject, headers and body of one event."""
    change_id = f"{kind}:{document}:{version}"
    entity = {"kind": kind, "id": document, "userId": user, "version": version}
    headers = {
        "Nats-Msg-Id": change_id,
        "Content-Type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": change_id,
        "ce-source": "/examples/python/by-hand",
        "ce-type": f"app.connvo.{kind}.{name}.v1",
    }
    return f"identity.v1.{user}.{kind}", headers, json.dumps({"entity": entity, **rest}).encode()


async def main(url, user, sub):
    now = time.time() * 1000
    times = {"createdAt": now, "updatedAt": now}
    registered = event("user", user, user, 1, "registered", {
        "state": {"workosUserId": sub, "email": "ada@example.com", "isActive": True, **times},
    })
    profile = f"{user}-profile"
    created = event("profile", profile, user, 1, "created", {
        "state": {"displayName": "Ada", "languages": ["English"], **times},
    })
    updated = event("profile", profile, user, 2, "updated", {
        "state": {"displayName": "Ada", "languages": ["English"], "bio": "Looms. \U0001f9f5", **times},
        "changed": ["bio"],
    })

    client = await nats.connect(url)
    js = client.jetstream()
    # Nobody else may have made this user and this profile: 0 messages before.
    await publish(js, *registered, after=0)
    first = await publish(js, *created, after=0)
    # The acknowledgement was lost, say: the same again is no second change.
    assert await publish(js, *created) == first
    assert await publish(js, *created, after=0) == first
    last = await publish(js, *updated, after=first)
    try:
        # Made of version 1, which is not the last one any more.
        subject, headers, _ = event("profile", profile, user, 2, "updated", {})
        await publish(js, subject, {**headers, "Nats-Msg-Id": "late"}, b"{}", after=first)
        raise AssertionError("a change of an old version was taken")
    except Conflict:
        pass
    await client.drain()
    # Keep the outbox row until the read model's applied_sequence has reached this.
    print(json.dumps({"sequence": last}))


asyncio.run(main(*sys.argv[1:]))
