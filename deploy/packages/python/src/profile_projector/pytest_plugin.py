"""Fixtures of pytest, there wherever this package is installed."""

from typing import Callable, Iterator

import pytest

from ._replay import Replay, Replayer
from ._service import Service


@pytest.fixture(scope="session")
def _profile_replayer() -> Iterator[Replayer]:
    with Replayer() as replayer:
        yield replayer


@pytest.fixture
def profile_replay(_profile_replayer: Replayer) -> Callable[..., Replay]:
    """`profile_replay(events)`: what events come to. All tests share one process."""
    return _profile_replayer.replay


@pytest.fixture(scope="session")
def profile_service() -> Iterator[Service]:
    """The whole service, started once. Tests use people of their own."""
    with Service() as service:
        yield service
