"""Tests of producers: given these events, then this answer, this parked record, this digest.

    from profile_projector import Person, replay

    ada = Person("ada", profile="profile-of-ada")
    result = replay([ada.registered("user_01ADA"), ada.written(displayName="Ada")])
    assert result.answer("user_01ADA")["displayName"] == "Ada"
    assert result.parked == []

The events are folded by the service's own program, without a broker. `Service` starts the whole:
a nats-server, the stream, the projector and the query service.
"""

from ._binary import BinaryNotFound, find_binary
from ._people import Person
from ._replay import Parked, Replay, ReplayError, Replayer, replay, replay_file
from ._service import Service, ServiceError
from .events import Event, Profile, ProfilePatch, ProfileState, UserState

__all__ = [
    "BinaryNotFound",
    "Event",
    "Parked",
    "Person",
    "Profile",
    "ProfilePatch",
    "ProfileState",
    "Replay",
    "ReplayError",
    "Replayer",
    "Service",
    "ServiceError",
    "UserState",
    "find_binary",
    "replay",
    "replay_file",
]
