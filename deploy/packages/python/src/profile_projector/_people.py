"""Events of one person, with versions counted and what a test does not care about filled in."""

from typing import Any, Mapping, Optional, cast

from .events import Event


class Person:
    """A person with a user document and one profile document.

    Each call makes the next event of one of them, in structured form. Members are given as they are
    named in the schemas: `ada.written(displayName="Ada")`.
    """

    def __init__(
        self, user: str, profile: Optional[str] = None, *, source: str = "/tests"
    ) -> None:
        self.user = user
        self.profile = profile or f"profile-of-{user}"
        self.source = source
        self._user_version = 0
        self._profile_version = 0
        self._user_state: dict[str, Any] = {}
        self._profile_state: dict[str, Any] = {}

    def registered(self, workos_user_id: str, **members: Any) -> Event:
        """The user document was made, with this identity: the `sub` of the person's tokens."""
        self._user_state = {
            "workosUserId": workos_user_id,
            "email": "somebody@example.com",
            "isActive": True,
            "createdAt": 0,
            "updatedAt": 0,
            **members,
        }
        name = "updated" if self._user_version else "registered"
        return self._of_user(name, {"state": dict(self._user_state)})

    def updated(self, **members: Any) -> Event:
        """The user document was changed; members that are not named stay."""
        return self._user_state_changed("updated", members)

    def deactivated(self) -> Event:
        """The user document was made inactive."""
        return self._user_state_changed("deactivated", {"isActive": False})

    def reactivated(self) -> Event:
        """The user document was made active again."""
        return self._user_state_changed("reactivated", {"isActive": True})

    def deleted(self) -> Event:
        """The user document was deleted."""
        return self._of_user("deleted", {"deletedAt": 0})

    def erased(self, request_id: str = "request") -> Event:
        """The person was erased, which is final."""
        return self._of_user("erased", {"erasedAt": 0, "requestId": request_id})

    def written(self, **members: Any) -> Event:
        """The profile was written as a whole; members that are not named stay."""
        created = {"displayName": "", "languages": [], "createdAt": 0, "updatedAt": 0}
        self._profile_state = {**created, **self._profile_state, **members}
        name = "updated" if self._profile_version else "created"
        return self._of_profile(name, {"state": dict(self._profile_state)})

    def patched(self, **members: Any) -> Event:
        """Some members of the profile were changed; None removes one."""
        base = self._profile_version
        for name, value in members.items():
            if value is None:
                self._profile_state.pop(name, None)
            else:
                self._profile_state[name] = value
        return self._of_profile("patched", {"baseVersion": base, "patch": members})

    def profile_deleted(self) -> Event:
        """The profile was deleted."""
        self._profile_state = {}
        return self._of_profile("deleted", {"deletedAt": 0})

    def profile_erased(self, request_id: str = "request") -> Event:
        """The profile was erased, which is final."""
        self._profile_state = {}
        return self._of_profile("erased", {"erasedAt": 0, "requestId": request_id})

    def lost(self) -> None:
        """The next version of the profile was lost on the way: what comes after it is one further."""
        self._profile_version += 1

    def _user_state_changed(self, name: str, members: Mapping[str, Any]) -> Event:
        if not self._user_state:
            raise ValueError("registered comes first: it says whose identity it is")
        self._user_state.update(members)
        return self._of_user(name, {"state": dict(self._user_state)})

    def _of_user(self, name: str, rest: Mapping[str, Any]) -> Event:
        self._user_version += 1
        return self._event("user", self.user, self._user_version, name, rest)

    def _of_profile(self, name: str, rest: Mapping[str, Any]) -> Event:
        self._profile_version += 1
        return self._event("profile", self.profile, self._profile_version, name, rest)

    def _event(
        self, kind: str, id: str, version: int, name: str, rest: Mapping[str, Any]
    ) -> Event:
        entity = {"kind": kind, "id": id, "userId": self.user, "version": version}
        event = {
            "specversion": "1.0",
            "id": f"{kind}:{id}:{version}",
            "source": self.source,
            "type": f"app.connvo.{kind}.{name}.v1",
            "subject": self.user,
            "data": {"entity": entity, **rest},
        }
        return cast(Event, event)
