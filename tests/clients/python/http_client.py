"""Usage: http_client.py URL TOKEN PROFILE

Asks as `ConvexHttpClient` does: signed out, signed in, with a bad token, for another function.
"""

import json
import sys
from importlib.metadata import version

from convex.http_client import ConvexHttpClient

QUERY = "profiles/queries:getCurrentUserProfile"
url, token, profile = sys.argv[1:]
expected = json.loads(profile)


def refusal(client, name, args):
    try:
        answer = client.query(name, args)
    except Exception as error:
        return str(error)
    raise AssertionError(f"{name} answered {answer}")


client = ConvexHttpClient(url)
assert client.query(QUERY, {}) is None

client.set_auth(token)
answer = client.query(QUERY)
assert answer == expected, answer
for member, value in expected.items():
    wanted = float if isinstance(value, int) else type(value)
    assert type(answer[member]) is wanted, (member, answer[member])

client.set_auth("x.y.z")
said = refusal(client, QUERY, {})
assert said.startswith("401 InvalidAuthHeader: Could not parse JWT payload."), said

client.clear_auth()
assert client.query(QUERY, {}) is None
said = refusal(client, "profiles/queries:nope", {})
assert "Could not find public function for 'profiles/queries:nope'." in said, said
said = refusal(client, QUERY, {"foo": 1})
assert "ArgumentValidationError" in said, said

print(f"PyPI convex {version('convex')} ConvexHttpClient: query, floats, refusals")
