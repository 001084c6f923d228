"""Usage: generated.py DOCUMENT FOLDER URL TOKEN PROFILE

Makes a client from the API document, in the folder, and asks with it.
"""

import json
import pathlib
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

document, folder, url, token, profile = sys.argv[1:]
expected = json.loads(profile)

config = pathlib.Path(folder) / "config.yaml"
config.write_text("package_name_override: generated\npost_hooks: []\n")
made = ["--path", document, "--output-path", f"{folder}/generated", "--config", str(config)]
tool = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
subprocess.run([*tool, "--fail-on-warning", *made], check=True, stdout=subprocess.DEVNULL)
sys.path.insert(0, folder)

generated = import_module("generated")
models = import_module("generated.models")
errors = import_module("generated.errors")
query = import_module(
    "generated.api.users.post_api_run_profiles_queries_get_current_user_profile"
)
Request = models.RequestProfilesQueriesGetCurrentUserProfile
Status = models.ResponseProfilesQueriesGetCurrentUserProfileStatus


def ask(client, args):
    response = query.sync_detailed(client=client, body=Request.from_dict({"args": args}))
    assert response.status_code == 200, response
    return response.parsed


def authenticated(token):
    return generated.AuthenticatedClient(
        base_url=url, token=token, raise_on_unexpected_status=True
    )


answer = ask(generated.Client(base_url=url), {})
assert (answer.status, answer.value) == (Status.SUCCESS, None), answer

answer = ask(authenticated(token), {})
assert answer.status is Status.SUCCESS, answer
assert answer.value.display_name == expected["displayName"], answer
assert answer.value.to_dict() == expected, answer
assert not answer.additional_properties, answer

answer = ask(authenticated(token), {"foo": 1})
assert answer.status is Status.ERROR, answer
assert "ArgumentValidationError" in answer.error_message, answer

try:
    ask(authenticated("x.y.z"), {})
except errors.UnexpectedStatus as error:
    assert error.status_code == 401, error
    assert json.loads(error.content)["code"] == "InvalidAuthHeader", error
else:
    raise AssertionError("a bad token was answered")

made_by = f"openapi-python-client {version('openapi-python-client')}"
print(f"PyPI {made_by}, client of the API document: query, every member, refusals")
