// The outbox of a Convex app: what was changed and is not in the read model yet. `users` and
// `profiles` are the app's own tables, each row with the version that it counts.
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  users: defineTable({
    workosUserId: v.string(),
    email: v.string(),
    isActive: v.boolean(),
    createdAt: v.number(),
    updatedAt: v.number(),
    version: v.number(),
  }).index("by_workos", ["workosUserId"]),
  profiles: defineTable({
    userId: v.id("users"),
    displayName: v.string(),
    languages: v.array(v.string()),
    bio: v.optional(v.string()),
    createdAt: v.number(),
    updatedAt: v.number(),
    version: v.number(),
  }).index("by_user", ["userId"]),
  outbox: defineTable({
    /** One structured CloudEvent. */
    event: v.any(),
    /** The sequence that the stream gave it. */
    sequence: v.optional(v.number()),
  }).index("by_sequence", ["sequence"]),
});
