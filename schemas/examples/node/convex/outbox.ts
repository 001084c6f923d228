// The outbox: rows are written in the transaction of the change that they tell of, so an event exists
// exactly when its change does. A relay (src/relay.ts) publishes them and takes them away.
//
// In an app, take `mutation` and the others from "./_generated/server"; here they are typed from the
// schema, so that this file stands by itself.
import {
  internalMutationGeneric,
  internalQueryGeneric,
  mutationGeneric,
  type DataModelFromSchemaDefinition,
  type GenericMutationCtx,
  type MutationBuilder,
  type QueryBuilder,
} from "convex/server";
import { v, type GenericId } from "convex/values";
import type schema from "./schema.js";

type DataModel = DataModelFromSchemaDefinition<typeof schema>;
type Ctx = GenericMutationCtx<DataModel>;
const mutation = mutationGeneric as MutationBuilder<DataModel, "public">;
const internalMutation = internalMutationGeneric as MutationBuilder<DataModel, "internal">;
const internalQuery = internalQueryGeneric as QueryBuilder<DataModel, "internal">;

const SOURCE = "/connvo/prod/convex";
/** Rows that the relay takes at a time. */
const PAGE = 100;

interface Change {
  kind: "user" | "profile";
  id: string;
  userId: string;
  version: number;
  name: "registered" | "updated" | "created";
  /** The whole document after the change, without what is Convex's own or the outbox's. */
  state: object;
}

/** Writes the event of a change; to be called in the change's own transaction. */
async function tell(ctx: Ctx, { kind, id, userId, version, name, state }: Change) {
  const event = {
    specversion: "1.0",
    id: `${kind}:${id}:${version}`,
    source: SOURCE,
    type: `app.connvo.${kind}.${name}.v1`,
    subject: userId,
    data: { entity: { kind, id, userId, version }, state },
  };
  await ctx.db.insert("outbox", { event });
}

/** A user signs up: two documents and their two events, all or none. */
export const register = mutation({
  args: { workosUserId: v.string(), email: v.string() },
  handler: async (ctx, { workosUserId, email }) => {
    const now = Date.now();
    const user = { workosUserId, email, isActive: true, createdAt: now, updatedAt: now };
    const userId = await ctx.db.insert("users", { ...user, version: 1 });
    await tell(ctx, { kind: "user", id: userId, userId, version: 1, name: "registered", state: user });
    const displayName = email.split("@")[0] ?? email;
    const profile = { displayName, languages: [], createdAt: now, updatedAt: now };
    const id = await ctx.db.insert("profiles", { ...profile, userId, version: 1 });
    await tell(ctx, { kind: "profile", id, userId, version: 1, name: "created", state: profile });
  },
});

/** A profile changes: the version counts, and the event carries the whole document. */
export const setBio = mutation({
  args: { profileId: v.id("profiles"), bio: v.optional(v.string()) },
  handler: async (ctx, { profileId, bio }) => {
    const held = await ctx.db.get(profileId);
    if (held === null) throw new Error("no such profile");
    const version = held.version + 1;
    await ctx.db.patch(profileId, { bio, version, updatedAt: Date.now() });
    const row = await ctx.db.get(profileId);
    if (row === null) throw new Error("no such profile");
    // An optional member without a value is absent in the event, never null.
    const { _id, _creationTime, userId, version: _, ...state } = row;
    await tell(ctx, { kind: "profile", id: _id, userId, version, name: "updated", state });
  },
});

/** What is not in the stream yet, oldest first: the order in which one document's events go out. */
export const unpublished = internalQuery({
  args: {},
  handler: (ctx) =>
    ctx.db
      .query("outbox")
      .withIndex("by_sequence", (row) => row.eq("sequence", undefined))
      .order("asc")
      .take(PAGE),
});

/** Notes the acknowledgement. The row stays until the read model has applied it. */
export const published = internalMutation({
  args: { row: v.id("outbox"), sequence: v.number() },
  handler: async (ctx, { row, sequence }: { row: GenericId<"outbox">; sequence: number }) => {
    await ctx.db.patch(row, { sequence });
  },
});

/** Takes away what the read model has. A tail that the broker lost before is published again. */
export const applied = internalMutation({
  args: { appliedSequence: v.number() },
  handler: async (ctx, { appliedSequence }) => {
    const rows = await ctx.db
      .query("outbox")
      .withIndex("by_sequence", (row) => row.gt("sequence", 0).lte("sequence", appliedSequence))
      .take(PAGE);
    for (const row of rows) await ctx.db.delete(row._id);
  },
});
