"""Replays, asked of one process that stays."""

import atexit
import itertools
import json
import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional, Union, cast

from ._binary import find_binary
from .events import Profile

#: An event as a dict, or a line of a file as text: a payload in it counts byte for byte.
Line = Union[Mapping[str, Any], str]


class ReplayError(Exception):
    """The events cannot be replayed, or the question cannot be answered."""

    def __init__(self, message: str, event: Optional[int] = None) -> None:
        super().__init__(f"event {event}: {message}" if event else message)
        #: The place of the event that it is about, from 1.
        self.event = event


@dataclass(frozen=True)
class Parked:
    """A parked record."""

    #: Its place in the stream, from 1.
    sequence: int
    #: The contract's word for why.
    reason: str
    #: `<userId>.<user|profile|quarantine>`; None when its subject names no lane.
    lane: Optional[str] = None
    #: What is wrong with an invalid one.
    detail: str = ""


class Replayer:
    """A process that replays. `replay` uses one that all tests of a process share."""

    def __init__(self, binary: Union[str, Path, None] = None) -> None:
        self._binary = str(binary or find_binary())
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        # What it says goes into a file, because a pipe that nobody reads would fill.
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [self._binary, "replay", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )

    def __enter__(self) -> "Replayer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            process = self._process
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._said.close()

    def replay(self, events: Iterable[Line], *, until: Optional[int] = None) -> "Replay":
        """What these events come to, as far as `until` says."""
        return Replay(self, [_text(place, line) for place, line in enumerate(events, 1)], until)

    def _ask(self, events: list[str], until: Optional[int], subs: list[str]) -> dict[str, Any]:
        with self._lock:
            number = next(self._ids)
            rest: dict[str, Any] = {"id": number, "as": subs}
            if until is not None:
                rest["until"] = until
            request = json.dumps(rest)[:-1] + ',"events":[' + ",".join(events) + "]}\n"
            answer = self._exchange(request.encode())
        if "error" in answer:
            error = answer["error"]
            raise ReplayError(error["message"], error.get("event"))
        if answer["id"] != number:
            raise ReplayError(f"request {number} has the answer of {answer['id']}")
        return answer

    def _exchange(self, request: bytes) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise ReplayError("this Replayer is closed")
        try:
            stdin.write(request)
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            code = self._process.wait()
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()
            raise ReplayError(f"{self._binary} ended with code {code}: {said}")
        return cast("dict[str, Any]", json.loads(line))


class Replay:
    """What events come to."""

    def __init__(self, replayer: Replayer, events: list[str], until: Optional[int]) -> None:
        self._replayer = replayer
        self._events = events
        self._until = until
        self._answers: dict[str, Optional[Profile]] = {}
        told = replayer._ask(events, until, [])
        #: The last place that was replayed, 0 before the first.
        self.sequence: int = told["sequence"]
        #: How many users there are.
        self.users: int = told["users"]
        #: How many profiles there are.
        self.profiles: int = told["profiles"]
        #: What is parked, in the order of the stream.
        self.parked: list[Parked] = [Parked(**one) for one in told["parked"]]
        #: What became of the events: how many were `applied`, ...
        self.outcomes: dict[str, int] = told["outcomes"]
        #: The digest of the rows, as `/status` of a service tells it.
        self.digest: str = told["digest"]

    def __repr__(self) -> str:
        return (
            f"<Replay up to {self.sequence}: {self.users} users, {self.profiles} profiles, "
            f"{len(self.parked)} parked>"
        )

    def answer(self, sub: str) -> Optional[Profile]:
        """The query's value for a token of this identity: the profile, or None."""
        if sub not in self._answers:
            told = self._replayer._ask(self._events, self._until, [sub])
            self._answers[sub] = told["answers"][sub]
        return self._answers[sub]

    def until(self, sequence: int) -> "Replay":
        """What the events come to up to this place, that one included."""
        return Replay(self._replayer, self._events, sequence)


def _text(place: int, line: Line) -> str:
    if not isinstance(line, str):
        return json.dumps(line, allow_nan=False)
    try:
        json.loads(line)
    except ValueError as problem:
        raise ReplayError(f"it is not JSON: {problem}", place) from None
    # Between the tokens of JSON, a line's end is a blank like any other.
    return line.replace("\n", " ").replace("\r", " ")


_shared: Optional[tuple[int, Replayer]] = None
_shared_lock = threading.Lock()


def _replayer() -> Replayer:
    """The process that all tests share. A fork has one of its own."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared[0] != os.getpid() or _shared[1]._process.poll() is not None:
            replayer = Replayer()
            atexit.register(replayer.close)
            _shared = (os.getpid(), replayer)
        return _shared[1]


def replay(events: Iterable[Line], *, until: Optional[int] = None) -> Replay:
    """What these events come to: the service's own rows and answers, without a broker."""
    return _replayer().replay(events, until=until)


def replay_file(path: Union[str, Path], *, until: Optional[int] = None) -> Replay:
    """What a file of events comes to, one a line."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    return replay([line for line in lines if line.strip()], until=until)
