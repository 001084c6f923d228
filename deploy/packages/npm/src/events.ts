// Made from the schemas by generate.py; do not edit.

/** The id of a user or profile document. Opaque; a legal NATS subject token. */
export type DocumentId = string;

/** Counts the changes of one document: 1, 2, 3 ... A hole tells that an event was lost. */
export type Version = number;

/** Milliseconds since the epoch, an IEEE double; a fraction is legal. */
export type Milliseconds = number;

/** Informative: the names of the members that this change touched. */
export type Changed = string[];

/** A remark for people. */
export type Reason = string;

export type Gender = "male" | "female" | "non-binary" | "prefer-not-to-say";

/** Which document, at which version. The id of a user document is the user id. */
export interface UserEntity {
  kind: "user";
  id: DocumentId;
  userId: DocumentId;
  version: Version;
}

/** Which document, at which version. */
export interface ProfileEntity {
  kind: "profile";
  id: DocumentId;
  userId: DocumentId;
  version: Version;
}

/** The whole user document after the change. A member without a value is absent, never null. */
export interface UserState {
  /** The identity provider's id: the sub of the user's tokens. */
  workosUserId: string;
  email: string;
  isActive: boolean;
  createdAt: Milliseconds;
  updatedAt: Milliseconds;
  orgId?: string;
  orgRole?: string;
  displayName?: string;
  avatarUrl?: string;
  lastSeenAt?: Milliseconds;
  onboardingComplete?: boolean;
  onboardingStartedAt?: Milliseconds;
  onboardingCompletedAt?: Milliseconds;
}

/** The whole profile document after the change. A member without a value is absent, never null. */
export interface ProfileState {
  displayName: string;
  languages: string[];
  createdAt: Milliseconds;
  updatedAt: Milliseconds;
  age?: number;
  bio?: string;
  company?: string;
  experience?: string;
  field?: string;
  gender?: Gender;
  goals?: string;
  jobTitle?: string;
  linkedinUrl?: string;
}

/** Absent keeps a member, null removes it, a value sets it. A required member cannot be removed. */
export interface ProfilePatch {
  displayName?: string;
  languages?: string[];
  createdAt?: Milliseconds;
  updatedAt?: Milliseconds;
  age?: number | null;
  bio?: string | null;
  company?: string | null;
  experience?: string | null;
  field?: string | null;
  gender?: "male" | "female" | "non-binary" | "prefer-not-to-say" | null;
  goals?: string | null;
  jobTitle?: string | null;
  linkedinUrl?: string | null;
}

export type Specversion = "1.0";

/** Who produced the event, for example /connvo/prod/convex. */
export type Source = string;

/** The user id. */
export type Subject = string | null;

/** For people; never used for order. */
export type Time = string | null;

export type Datacontenttype = string | null;

export type Dataschema = string | null;

/** W3C trace context. */
export type Traceparent = string | null;

/** W3C trace context. */
export type Tracestate = string | null;

/** What app.connvo.profile.created.v1 carries. */
export interface ProfileCreatedData {
  entity: ProfileEntity;
  state: ProfileState;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.profile.created.v1: a profile was written for the first time. */
export interface ProfileCreated {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.profile.created.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: ProfileCreatedData;
}

/** What app.connvo.profile.deleted.v1 carries. */
export interface ProfileDeletedData {
  entity: ProfileEntity;
  deletedAt: Milliseconds;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.profile.deleted.v1: a profile document was deleted; a later version re-creates it. */
export interface ProfileDeleted {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.profile.deleted.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: ProfileDeletedData;
}

/** What app.connvo.profile.erased.v1 carries. */
export interface ProfileErasedData {
  entity: ProfileEntity;
  erasedAt: Milliseconds;
  /** The erasure request, for the record. */
  requestId: string;
}

/** app.connvo.profile.erased.v1: a profile was erased for good; carries nothing personal. */
export interface ProfileErased {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.profile.erased.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: ProfileErasedData;
}

/** What app.connvo.profile.patched.v1 carries. */
export interface ProfilePatchedData {
  entity: ProfileEntity;
  /** The version that the patch was made of: data.entity.version - 1. */
  baseVersion: number;
  patch: ProfilePatch;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.profile.patched.v1: some members of a profile changed, for producers that hold no whole state. */
export interface ProfilePatched {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.profile.patched.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: ProfilePatchedData;
}

/** What app.connvo.profile.updated.v1 carries. */
export interface ProfileUpdatedData {
  entity: ProfileEntity;
  state: ProfileState;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.profile.updated.v1: a profile changed. */
export interface ProfileUpdated {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.profile.updated.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: ProfileUpdatedData;
}

/** What app.connvo.quarantine.dropped.v1 carries. */
export interface QuarantineDroppedData {
  userId: DocumentId;
  /** The parked record's place in the stream. */
  sequence: number;
  reason: Reason;
}

/** app.connvo.quarantine.dropped.v1: an operator gives up one parked record; what waited behind it is tried again. */
export interface QuarantineDropped {
  specversion: Specversion;
  /** Any; unique among the decisions. */
  id: string;
  source: Source;
  type: "app.connvo.quarantine.dropped.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: QuarantineDroppedData;
}

/** What app.connvo.user.deactivated.v1 carries. */
export interface UserDeactivatedData {
  entity: UserEntity;
  state: UserState;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.user.deactivated.v1: a user was deactivated: isActive is false, the profile stays readable. */
export interface UserDeactivated {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.user.deactivated.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: UserDeactivatedData;
}

/** What app.connvo.user.deleted.v1 carries. */
export interface UserDeletedData {
  entity: UserEntity;
  deletedAt: Milliseconds;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.user.deleted.v1: a user document was deleted; a later version re-creates it. */
export interface UserDeleted {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.user.deleted.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: UserDeletedData;
}

/** What app.connvo.user.erased.v1 carries. */
export interface UserErasedData {
  entity: UserEntity;
  erasedAt: Milliseconds;
  /** The erasure request, for the record. */
  requestId: string;
}

/** app.connvo.user.erased.v1: a person was erased for good; carries nothing personal. */
export interface UserErased {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.user.erased.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: UserErasedData;
}

/** What app.connvo.user.reactivated.v1 carries. */
export interface UserReactivatedData {
  entity: UserEntity;
  state: UserState;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.user.reactivated.v1: a user was activated again. */
export interface UserReactivated {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.user.reactivated.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: UserReactivatedData;
}

/** What app.connvo.user.registered.v1 carries. */
export interface UserRegisteredData {
  entity: UserEntity;
  state: UserState;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.user.registered.v1: a user signed up. */
export interface UserRegistered {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.user.registered.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: UserRegisteredData;
}

/** What app.connvo.user.updated.v1 carries. */
export interface UserUpdatedData {
  entity: UserEntity;
  state: UserState;
  changed?: Changed;
  reason?: Reason;
}

/** app.connvo.user.updated.v1: a user document changed. */
export interface UserUpdated {
  specversion: Specversion;
  /** <kind>:<document id>:<version>: a retry of the same change has the same id. */
  id: string;
  source: Source;
  type: "app.connvo.user.updated.v1";
  subject?: Subject;
  time?: Time;
  datacontenttype?: Datacontenttype;
  dataschema?: Dataschema;
  traceparent?: Traceparent;
  tracestate?: Tracestate;
  data: UserUpdatedData;
}

/** An event in structured form. */
export type Event =
  | ProfileCreated
  | ProfileDeleted
  | ProfileErased
  | ProfilePatched
  | ProfileUpdated
  | QuarantineDropped
  | UserDeactivated
  | UserDeleted
  | UserErased
  | UserReactivated
  | UserRegistered
  | UserUpdated;

/** A profile. Members stand in the order of their names; one without a value is absent, never null. */
export interface Profile {
  /** The profile document's id. */
  _id: DocumentId;
  age?: number;
  bio?: string;
  company?: string;
  createdAt: Milliseconds;
  displayName: string;
  experience?: string;
  field?: string;
  gender?: Gender;
  goals?: string;
  jobTitle?: string;
  languages: string[];
  linkedinUrl?: string;
  updatedAt: Milliseconds;
  /** The user document's id. */
  userId: DocumentId;
}
