"""The whole service on this machine, for integration tests."""

import json
import os
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import Any, Iterable, Optional, Union

from ._binary import find_binary
from ._replay import Line, _text
from .events import Profile

_QUERY = "/api/run/profiles/queries/getCurrentUserProfile"


def _environment() -> dict[str, str]:
    """This one's, without what says where somebody's own NATS is."""
    kept = {"NATS_SERVER_BIN"}
    ours = ("NATS_", "PROFILE_PROJECTOR_")
    return {name: v for name, v in os.environ.items() if name in kept or not name.startswith(ours)}


class ServiceError(Exception):
    """The service does not start, or a command failed. Tells what the program said."""


class Service:
    """`profile-projector dev` in a folder of its own, on free ports: nats-server, stream, sample people,
    projector and query service. A context manager.

        with Service() as service:
            service.publish([ada.registered("user_01ADA"), ada.written(displayName="Ada")])
            assert service.answer("user_01ADA")["displayName"] == "Ada"

    `nats_server` is the nats-server to run. Without it, the one on PATH is taken, or one is installed at
    first use.
    """

    def __init__(
        self,
        *,
        nats_server: Union[str, Path, None] = None,
        binary: Union[str, Path, None] = None,
        start_within: float = 120,
    ) -> None:
        self._binary = str(binary or find_binary())
        self._nats_server = nats_server
        self._start_within = start_within
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None
        self._process: Optional["subprocess.Popen[bytes]"] = None
        #: Where clients ask: a Convex SDK takes it as its deployment.
        self.url = ""
        #: Where `/status`, `/readyz` and `/metrics` are.
        self.admin_url = ""
        #: Where producers publish.
        self.nats_url = ""

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and returns when it answers."""
        if self._process is not None:
            raise ServiceError("it runs already")
        self._folder = tempfile.TemporaryDirectory(prefix="profile-projector-")
        command = [self._binary, "dev", "--data-dir", self._folder.name, "--nats-listen=127.0.0.1:0"]
        command += ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]
        if self._nats_server is not None:
            command += ["--nats-server", str(self._nats_server)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
            )
        try:
            self._wait_until_it_runs(self._process)
            ports = json.loads((Path(self._folder.name) / "ports.json").read_text())
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{ports['listen']}"
        self.admin_url = f"http://127.0.0.1:{ports['admin']}"
        self.nats_url = f"nats://127.0.0.1:{ports['nats']}"

    def stop(self) -> None:
        """Ends it and removes its folder."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    @property
    def folder(self) -> Path:
        """Everything that it keeps."""
        if self._folder is None:
            raise ServiceError("it does not run")
        return Path(self._folder.name)

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / "dev.log"

    def publish(self, events: Iterable[Line]) -> None:
        """Checks the events, publishes them, and returns when they are applied."""
        lines = [_text(place, line) for place, line in enumerate(events, 1)]
        where = ["--nats-url", self.nats_url, "--wait", self.admin_url]
        self.run("publish", "-", *where, input="\n".join(lines))

    def token(self, sub: str) -> str:
        """A token of this identity."""
        return self.run("token", "--data-dir", str(self.folder), "--subject", sub).strip()

    def answer(self, sub: Optional[str]) -> Optional[Profile]:
        """What a client is answered over HTTP, with a token of this identity; without one if None."""
        headers = {"Content-Type": "application/json"}
        if sub is not None:
            headers["Authorization"] = f"Bearer {self.token(sub)}"
        request = urllib.request.Request(self.url + _QUERY, b'{"args":{}}', headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        value: Optional[Profile] = answer["value"]
        return value

    def run(self, *arguments: str, input: str = "") -> str:
        """Runs a command of the program. Gives what it printed."""
        ended = subprocess.run(
            [self._binary, *arguments],
            input=input,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            env=_environment(),
        )
        if ended.returncode != 0:
            said = (ended.stderr + ended.stdout).strip()
            raise ServiceError(f"{arguments[0]} ended with code {ended.returncode}: {said}")
        return ended.stdout

    def _wait_until_it_runs(self, process: "subprocess.Popen[bytes]") -> None:
        stdout = process.stdout
        assert stdout is not None
        runs = threading.Event()

        def watch() -> None:
            if stdout.readline().startswith(b"Everything runs"):
                runs.set()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        watcher.join(self._start_within)
        if not runs.is_set():
            said = self.log.read_text(errors="replace").strip()
            try:
                # Its output ends a moment before it does.
                how = f"ended with code {process.wait(0 if watcher.is_alive() else 5)}"
            except subprocess.TimeoutExpired:
                how = "does not run yet"
            raise ServiceError(f"dev {how}: {said}")
