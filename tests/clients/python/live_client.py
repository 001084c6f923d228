"""Usage: live_client.py URL

Subscribes as `ConvexClient` does and shows every update.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from convex import ConvexClient


def say(**what):
    print(json.dumps(what), flush=True)


async def show(subscription):
    try:
        async for value in subscription:
            say(value=value)
    except Exception as error:
        say(error=str(error))


async def main(url):
    say(client=f"PyPI convex {version('convex')} ConvexClient.subscribe")
    client = ConvexClient(url)
    subscription = client.subscribe("profiles/queries:getCurrentUserProfile", {})
    showing = asyncio.create_task(show(subscription))
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        client.set_auth(order["token"])
        say(done=order["do"])
    showing.cancel()


asyncio.run(main(sys.argv[1]))
