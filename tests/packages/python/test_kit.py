"""A producer's tests, with the wheel as pip installs it."""

import json
import subprocess
import sys
import threading
import time
from importlib.metadata import files, version
from pathlib import Path
from typing import Any, Callable

import pytest

import profile_projector as kit
from profile_projector import Parked, Person, Replay, Replayer, ReplayError, Service, replay


def ada() -> tuple[Person, list[Any]]:
    person = Person("ada", profile="p")
    return person, [person.registered("user_01ADA"), person.written(displayName="Ada", age=36.5)]


def test_the_command_is_the_packages_own() -> None:
    said = subprocess.run([kit.find_binary(), "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.split()[1] == version("profile-projector")
    module = [sys.executable, "-m", "profile_projector", "--version"]
    assert subprocess.run(module, capture_output=True, text=True, check=True).stdout == said.stdout
    assert any(path.name == "py.typed" for path in files("profile-projector") or [])


def test_an_answer_a_parked_record_and_a_digest() -> None:
    person, events = ada()
    person.lost()
    events.append(person.patched(bio="I build looms."))
    result = replay(events)
    expected = {
        "_id": "p", "userId": "ada", "displayName": "Ada", "age": 36.5,
        "languages": [], "createdAt": 0, "updatedAt": 0,
    }  # fmt: skip
    assert result.answer("user_01ADA") == expected
    assert result.answer("user_01BOB") is None
    (parked,) = result.parked
    assert isinstance(parked, Parked)
    assert (parked.sequence, parked.lane, parked.reason) == (3, "ada.profile", "patch_base")
    assert result.until(2).parked == [] and result.until(1).answer("user_01ADA") is None
    assert replay(events).digest == result.digest != replay(events[:2]).digest
    assert repr(result) == "<Replay up to 3: 1 users, 1 profiles, 1 parked>"


def test_every_event_of_a_person_is_applied_and_passes_the_checker(tmp_path: Path) -> None:
    person, events = ada()
    events += [
        person.updated(email="ada@example.com"), person.deactivated(), person.reactivated(),
        person.written(bio="x"), person.patched(bio=None), person.profile_deleted(),
        person.written(displayName="Ada"), person.profile_erased(),
        person.deleted(), person.registered("user_02ADA"), person.erased(),
    ]  # fmt: skip
    result = replay(events)
    assert result.outcomes == {"applied": 9, "deleted": 2, "erased": 2}, result.parked
    assert (result.users, result.profiles, result.answer("user_02ADA")) == (0, 0, None)
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(json.dumps(event) for event in events))
    checked = subprocess.run([kit.find_binary(), "check", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert kit.replay_file(file).digest == result.digest
    with pytest.raises(ValueError, match="registered comes first"):
        Person("new").deactivated()


def test_lines_count_byte_for_byte() -> None:
    body = '{"entity" : {"kind":"user"}}'
    line = '{"subject":"identity.v1.u1.user",\n "payload":' + body + "}"
    result = replay([line])
    assert result.parked[0].reason == "invalid" and result.parked[0].detail


def test_what_is_wrong_is_named() -> None:
    person, events = ada()
    with pytest.raises(ReplayError, match="event 3: .*name no subject") as raised:
        replay([*events, {"specversion": "1.0"}])
    assert raised.value.event == 3
    with pytest.raises(ReplayError, match="event 1: it is not JSON"):
        replay(['{"a":1}],"as":["x"'])
    with pytest.raises(ValueError):
        replay([{"specversion": float("nan")}])
    with pytest.raises(ReplayError, match="as: no identity"):
        replay(events).answer("")
    with pytest.raises(ReplayError, match="the request has more than 16777216 bytes"):
        replay([person.written(bio="x" * 17_000_000)])
    assert replay(events).users == 1, "a refusal ends nothing"


def test_a_replayer_that_is_closed_or_has_ended_says_so(tmp_path: Path) -> None:
    with Replayer() as replayer:
        result = replayer.replay(ada()[1])
    with pytest.raises(ReplayError, match="closed"):
        result.answer("user_01ADA")
    program = tmp_path / "old-program"
    program.write_text("#!/bin/sh\necho 'unexpected argument --serve' >&2\nexit 2\n")
    program.chmod(0o755)
    with Replayer(program) as replayer:
        with pytest.raises(ReplayError, match="ended with code 2: unexpected argument --serve"):
            replayer.replay([])


def test_threads_share_a_process(profile_replay: Callable[..., Replay]) -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        person = Person(f"u{number}")
        events = [person.registered(f"user_{number}"), person.written(displayName=str(number))]
        for _ in range(20):
            answer = profile_replay(events).answer(f"user_{number}")
            if answer is None or answer["displayName"] != str(number):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_thousand_replays(profile_replay: Callable[..., Replay]) -> None:
    _, events = ada()
    profile_replay(events)
    begun = time.perf_counter()
    digests = {profile_replay(events).digest for _ in range(1000)}
    print(f"\nPython: {time.perf_counter() - begun:.3f} ms a replay")
    assert len(digests) == 1


def test_the_whole_service(profile_service: Service) -> None:
    person = Person("ada-of-the-service")
    profile_service.publish([person.registered("user_01KIT"), person.written(displayName="Ada")])
    answer = profile_service.answer("user_01KIT")
    assert answer is not None and answer["displayName"] == "Ada"
    profile_service.publish([person.patched(displayName="Grace")])
    answer = profile_service.answer("user_01KIT")
    assert answer is not None and answer["displayName"] == "Grace"
    assert profile_service.answer(None) is None
    with pytest.raises(kit.ServiceError, match="publish ended with code 1: .*data.state.age"):
        profile_service.publish([person.written(age="old")])


def test_two_services_at_once_and_nothing_is_left(profile_service: Service) -> None:
    with Service() as other:
        assert other.nats_url != profile_service.nats_url
        folder = other.folder
        assert folder.is_dir()
    assert not folder.exists()
    with pytest.raises(kit.ServiceError, match="dev ended with code 1: .*nats-server"):
        Service(nats_server="/nowhere/nats-server").start()
