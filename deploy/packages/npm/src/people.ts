/** Events of one person, with versions counted and what a test does not care about filled in. */
import type {
  Event,
  ProfileCreated,
  ProfileDeleted,
  ProfileErased,
  ProfilePatch,
  ProfilePatched,
  ProfileState,
  ProfileUpdated,
  UserDeactivated,
  UserDeleted,
  UserErased,
  UserReactivated,
  UserRegistered,
  UserState,
  UserUpdated,
} from "./events.js";

/** Each call makes the next event of the user document or of the profile, in structured form. */
export class Person {
  readonly user: string;
  readonly profile: string;
  readonly source: string;
  #userVersion = 0;
  #profileVersion = 0;
  #userState: UserState | undefined;
  #profileState: Partial<ProfileState> = {};

  constructor(user: string, { profile = `profile-of-${user}`, source = "/tests" } = {}) {
    this.user = user;
    this.profile = profile;
    this.source = source;
  }

  /** The user document was made, with this identity: the `sub` of the person's tokens. */
  registered(workosUserId: string, members: Partial<UserState> = {}): UserRegistered | UserUpdated {
    this.#userState = {
      workosUserId,
      email: "somebody@example.com",
      isActive: true,
      createdAt: 0,
      updatedAt: 0,
      ...members,
    };
    return this.#ofUser(this.#userVersion === 0 ? "registered" : "updated", { state: this.#userState });
  }

  /** The user document was changed; members that are not named stay. */
  updated(members: Partial<UserState>): UserUpdated {
    return this.#userStateChanged("updated", members);
  }

  /** The user document was made inactive. */
  deactivated(): UserDeactivated {
    return this.#userStateChanged("deactivated", { isActive: false });
  }

  /** The user document was made active again. */
  reactivated(): UserReactivated {
    return this.#userStateChanged("reactivated", { isActive: true });
  }

  /** The user document was deleted. */
  deleted(): UserDeleted {
    return this.#ofUser("deleted", { deletedAt: 0 });
  }

  /** The person was erased, which is final. */
  erased(requestId = "request"): UserErased {
    return this.#ofUser("erased", { erasedAt: 0, requestId });
  }

  /** The profile was written as a whole; members that are not named stay. */
  written(members: Partial<ProfileState> = {}): ProfileCreated | ProfileUpdated {
    const created = { displayName: "", languages: [], createdAt: 0, updatedAt: 0 };
    this.#profileState = { ...created, ...this.#profileState, ...members };
    const name = this.#profileVersion === 0 ? "created" : "updated";
    return this.#ofProfile(name, { state: { ...this.#profileState } });
  }

  /** Some members of the profile were changed; null removes one. */
  patched(patch: ProfilePatch): ProfilePatched {
    const baseVersion = this.#profileVersion;
    const changed = Object.entries({ ...this.#profileState, ...patch });
    this.#profileState = Object.fromEntries(changed.filter(([, value]) => value !== null));
    return this.#ofProfile("patched", { baseVersion, patch });
  }

  /** The profile was deleted. */
  profileDeleted(): ProfileDeleted {
    this.#profileState = {};
    return this.#ofProfile("deleted", { deletedAt: 0 });
  }

  /** The profile was erased, which is final. */
  profileErased(requestId = "request"): ProfileErased {
    this.#profileState = {};
    return this.#ofProfile("erased", { erasedAt: 0, requestId });
  }

  /** The next version of the profile was lost on the way: what comes after it is one further. */
  lost(): void {
    this.#profileVersion += 1;
  }

  #userStateChanged<T extends Event>(name: string, members: Partial<UserState>): T {
    if (this.#userState === undefined) {
      throw new Error("registered comes first: it says whose identity it is");
    }
    this.#userState = { ...this.#userState, ...members };
    return this.#ofUser(name, { state: this.#userState });
  }

  #ofUser<T extends Event>(name: string, rest: object): T {
    this.#userVersion += 1;
    return this.#event("user", this.user, this.#userVersion, name, rest);
  }

  #ofProfile<T extends Event>(name: string, rest: object): T {
    this.#profileVersion += 1;
    return this.#event("profile", this.profile, this.#profileVersion, name, rest);
  }

  #event<T extends Event>(kind: string, id: string, version: number, name: string, rest: object): T {
    const event = {
      specversion: "1.0",
      id: `${kind}:${id}:${version}`,
      source: this.source,
      type: `app.connvo.${kind}.${name}.v1`,
      subject: this.user,
      data: { entity: { kind, id, userId: this.user, version }, ...rest },
    };
    return event as unknown as T;
  }
}
