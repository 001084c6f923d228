// Usage: live.mjs PACKAGE URL
// Subscribes as `ConvexClient` does and shows every update.
import { orders, say } from "./script.mjs";

const [convex, url] = process.argv.slice(2);
const { version } = await import(convex);
const { ConvexClient } = await import(`${convex}/browser`);
const { anyApi } = await import(`${convex}/server`);

say({ client: `npm convex ${version} ConvexClient.onUpdate` });
const client = new ConvexClient(url);
client.onUpdate(
  anyApi.profiles.queries.getCurrentUserProfile,
  {},
  (value) => say({ value }),
  (error) => say({ error: error.message }),
);

let session = null;
for await (const order of orders()) {
  session = order.token;
  if (order.do === "sign-in") client.setAuth(async () => session);
  // A fetcher that gives null would not do: the client tells nobody of it.
  if (order.do === "sign-out") client.client.clearAuth();
  say({ done: order.do });
}
await client.close();
