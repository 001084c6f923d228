import json
import urllib.request
from pathlib import Path

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy


def test_a_published_profile_is_answered():
    projector = (
        DockerContainer("profile-projector-dev")
        .with_exposed_ports(3210, 3211, 4222)
        .with_volume_mapping(str(Path("events.ndjson").absolute()), "/events.ndjson")
        .waiting_for(HttpWaitStrategy(3211, "/readyz"))
    )
    with projector:

        def run(*command: str) -> str:
            code, output = projector.exec(["profile-projector", *command])
            assert code == 0, output
            return output.decode().strip()

        # A producer under test publishes to nats://<host>:<mapped port 4222> instead.
        run("publish", "/events.ndjson", "--wait", "http://127.0.0.1:3211")
        token = run("token", "--data-dir", "/data", "--subject", "user_01ADA")
        url = f"http://{projector.get_container_host_ip()}:{projector.get_exposed_port(3210)}"
        request = urllib.request.Request(
            f"{url}/api/run/profiles/queries/getCurrentUserProfile",
            b'{"args":{}}',
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["value"]["displayName"] == "Ada"
