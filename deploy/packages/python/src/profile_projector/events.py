"""The events and the answer, as the schemas have them. Made by generate.py; do not edit."""

from typing import Literal, Optional, TypedDict, Union


#: The id of a user or profile document. Opaque; a legal NATS subject token.
DocumentId = str


#: Counts the changes of one document: 1, 2, 3 ... A hole tells that an event was lost.
Version = int


#: Milliseconds since the epoch, an IEEE double; a fraction is legal.
Milliseconds = float


#: Informative: the names of the members that this change touched.
Changed = list[str]


#: A remark for people.
Reason = str


Gender = Literal["male", "female", "non-binary", "prefer-not-to-say"]


class UserEntity(TypedDict):
    """Which document, at which version. The id of a user document is the user id."""

    kind: Literal["user"]
    id: DocumentId
    userId: DocumentId
    version: Version


class ProfileEntity(TypedDict):
    """Which document, at which version."""

    kind: Literal["profile"]
    id: DocumentId
    userId: DocumentId
    version: Version


class _UserStateAlways(TypedDict):
    #: The identity provider's id: the sub of the user's tokens.
    workosUserId: str
    email: str
    isActive: bool
    createdAt: Milliseconds
    updatedAt: Milliseconds


class UserState(_UserStateAlways, total=False):
    """The whole user document after the change. A member without a value is absent, never null."""

    orgId: str
    orgRole: str
    displayName: str
    avatarUrl: str
    lastSeenAt: Milliseconds
    onboardingComplete: bool
    onboardingStartedAt: Milliseconds
    onboardingCompletedAt: Milliseconds


class _ProfileStateAlways(TypedDict):
    displayName: str
    languages: list[str]
    createdAt: Milliseconds
    updatedAt: Milliseconds


class ProfileState(_ProfileStateAlways, total=False):
    """The whole profile document after the change. A member without a value is absent, never null."""

    age: float
    bio: str
    company: str
    experience: str
    field: str
    gender: Gender
    goals: str
    jobTitle: str
    linkedinUrl: str


class ProfilePatch(TypedDict, total=False):
    """Absent keeps a member, null removes it, a value sets it. A required member cannot be removed."""

    displayName: str
    languages: list[str]
    createdAt: Milliseconds
    updatedAt: Milliseconds
    age: Optional[float]
    bio: Optional[str]
    company: Optional[str]
    experience: Optional[str]
    field: Optional[str]
    gender: Literal["male", "female", "non-binary", "prefer-not-to-say", None]
    goals: Optional[str]
    jobTitle: Optional[str]
    linkedinUrl: Optional[str]


Specversion = Literal["1.0"]


#: Who produced the event, for example /connvo/prod/convex.
Source = str


#: The user id.
Subject = Optional[str]


#: For people; never used for order.
Time = Optional[str]


Datacontenttype = Optional[str]


Dataschema = Optional[str]


#: W3C trace context.
Traceparent = Optional[str]


#: W3C trace context.
Tracestate = Optional[str]


class _ProfileCreatedDataAlways(TypedDict):
    entity: ProfileEntity
    state: ProfileState


class ProfileCreatedData(_ProfileCreatedDataAlways, total=False):
    """What app.connvo.profile.created.v1 carries."""

    changed: Changed
    reason: Reason


class _ProfileCreatedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.profile.created.v1"]
    data: ProfileCreatedData


class ProfileCreated(_ProfileCreatedAlways, total=False):
    """app.connvo.profile.created.v1: a profile was written for the first time."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _ProfileDeletedDataAlways(TypedDict):
    entity: ProfileEntity
    deletedAt: Milliseconds


class ProfileDeletedData(_ProfileDeletedDataAlways, total=False):
    """What app.connvo.profile.deleted.v1 carries."""

    changed: Changed
    reason: Reason


class _ProfileDeletedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.profile.deleted.v1"]
    data: ProfileDeletedData


class ProfileDeleted(_ProfileDeletedAlways, total=False):
    """app.connvo.profile.deleted.v1: a profile document was deleted; a later version re-creates it."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class ProfileErasedData(TypedDict):
    """What app.connvo.profile.erased.v1 carries."""

    entity: ProfileEntity
    erasedAt: Milliseconds
    #: The erasure request, for the record.
    requestId: str


class _ProfileErasedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.profile.erased.v1"]
    data: ProfileErasedData


class ProfileErased(_ProfileErasedAlways, total=False):
    """app.connvo.profile.erased.v1: a profile was erased for good; carries nothing personal."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _ProfilePatchedDataAlways(TypedDict):
    entity: ProfileEntity
    #: The version that the patch was made of: data.entity.version - 1.
    baseVersion: int
    patch: ProfilePatch


class ProfilePatchedData(_ProfilePatchedDataAlways, total=False):
    """What app.connvo.profile.patched.v1 carries."""

    changed: Changed
    reason: Reason


class _ProfilePatchedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.profile.patched.v1"]
    data: ProfilePatchedData


class ProfilePatched(_ProfilePatchedAlways, total=False):
    """app.connvo.profile.patched.v1: some members of a profile changed, for producers that hold no whole state."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _ProfileUpdatedDataAlways(TypedDict):
    entity: ProfileEntity
    state: ProfileState


class ProfileUpdatedData(_ProfileUpdatedDataAlways, total=False):
    """What app.connvo.profile.updated.v1 carries."""

    changed: Changed
    reason: Reason


class _ProfileUpdatedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.profile.updated.v1"]
    data: ProfileUpdatedData


class ProfileUpdated(_ProfileUpdatedAlways, total=False):
    """app.connvo.profile.updated.v1: a profile changed."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class QuarantineDroppedData(TypedDict):
    """What app.connvo.quarantine.dropped.v1 carries."""

    userId: DocumentId
    #: The parked record's place in the stream.
    sequence: int
    reason: Reason


class _QuarantineDroppedAlways(TypedDict):
    specversion: Specversion
    #: Any; unique among the decisions.
    id: str
    source: Source
    type: Literal["app.connvo.quarantine.dropped.v1"]
    data: QuarantineDroppedData


class QuarantineDropped(_QuarantineDroppedAlways, total=False):
    """app.connvo.quarantine.dropped.v1: an operator gives up one parked record; what waited behind it is tried again."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _UserDeactivatedDataAlways(TypedDict):
    entity: UserEntity
    state: UserState


class UserDeactivatedData(_UserDeactivatedDataAlways, total=False):
    """What app.connvo.user.deactivated.v1 carries."""

    changed: Changed
    reason: Reason


class _UserDeactivatedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.user.deactivated.v1"]
    data: UserDeactivatedData


class UserDeactivated(_UserDeactivatedAlways, total=False):
    """app.connvo.user.deactivated.v1: a user was deactivated: isActive is false, the profile stays readable."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _UserDeletedDataAlways(TypedDict):
    entity: UserEntity
    deletedAt: Milliseconds


class UserDeletedData(_UserDeletedDataAlways, total=False):
    """What app.connvo.user.deleted.v1 carries."""

    changed: Changed
    reason: Reason


class _UserDeletedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.user.deleted.v1"]
    data: UserDeletedData


class UserDeleted(_UserDeletedAlways, total=False):
    """app.connvo.user.deleted.v1: a user document was deleted; a later version re-creates it."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class UserErasedData(TypedDict):
    """What app.connvo.user.erased.v1 carries."""

    entity: UserEntity
    erasedAt: Milliseconds
    #: The erasure request, for the record.
    requestId: str


class _UserErasedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.user.erased.v1"]
    data: UserErasedData


class UserErased(_UserErasedAlways, total=False):
    """app.connvo.user.erased.v1: a person was erased for good; carries nothing personal."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _UserReactivatedDataAlways(TypedDict):
    entity: UserEntity
    state: UserState


class UserReactivatedData(_UserReactivatedDataAlways, total=False):
    """What app.connvo.user.reactivated.v1 carries."""

    changed: Changed
    reason: Reason


class _UserReactivatedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.user.reactivated.v1"]
    data: UserReactivatedData


class UserReactivated(_UserReactivatedAlways, total=False):
    """app.connvo.user.reactivated.v1: a user was activated again."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _UserRegisteredDataAlways(TypedDict):
    entity: UserEntity
    state: UserState


class UserRegisteredData(_UserRegisteredDataAlways, total=False):
    """What app.connvo.user.registered.v1 carries."""

    changed: Changed
    reason: Reason


class _UserRegisteredAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.user.registered.v1"]
    data: UserRegisteredData


class UserRegistered(_UserRegisteredAlways, total=False):
    """app.connvo.user.registered.v1: a user signed up."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


class _UserUpdatedDataAlways(TypedDict):
    entity: UserEntity
    state: UserState


class UserUpdatedData(_UserUpdatedDataAlways, total=False):
    """What app.connvo.user.updated.v1 carries."""

    changed: Changed
    reason: Reason


class _UserUpdatedAlways(TypedDict):
    specversion: Specversion
    #: <kind>:<document id>:<version>: a retry of the same change has the same id.
    id: str
    source: Source
    type: Literal["app.connvo.user.updated.v1"]
    data: UserUpdatedData


class UserUpdated(_UserUpdatedAlways, total=False):
    """app.connvo.user.updated.v1: a user document changed."""

    subject: Subject
    time: Time
    datacontenttype: Datacontenttype
    dataschema: Dataschema
    traceparent: Traceparent
    tracestate: Tracestate


#: An event in structured form.
Event = Union[
    ProfileCreated,
    ProfileDeleted,
    ProfileErased,
    ProfilePatched,
    ProfileUpdated,
    QuarantineDropped,
    UserDeactivated,
    UserDeleted,
    UserErased,
    UserReactivated,
    UserRegistered,
    UserUpdated,
]


class _ProfileAlways(TypedDict):
    #: The profile document's id.
    _id: DocumentId
    createdAt: Milliseconds
    displayName: str
    languages: list[str]
    updatedAt: Milliseconds
    #: The user document's id.
    userId: DocumentId


class Profile(_ProfileAlways, total=False):
    """A profile. Members stand in the order of their names; one without a value is absent, never null."""

    age: float
    bio: str
    company: str
    experience: str
    field: str
    gender: Gender
    goals: str
    jobTitle: str
    linkedinUrl: str
