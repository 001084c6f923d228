// Usage: http.mjs PACKAGE URL TOKEN PROFILE
// Asks as `ConvexHttpClient` does: signed out, signed in, with a bad token, for another function.
import assert from "node:assert/strict";

const [convex, url, token, profile] = process.argv.slice(2);
const { version } = await import(convex);
const { ConvexHttpClient } = await import(`${convex}/browser`);
const { anyApi } = await import(`${convex}/server`);
const { getCurrentUserProfile, nope } = anyApi.profiles.queries;
const expected = JSON.parse(profile);

const signedOut = new ConvexHttpClient(url);
assert.equal(await signedOut.query(getCurrentUserProfile, {}), null);
assert.equal(await signedOut.consistentQuery(getCurrentUserProfile, {}), null);

const signedIn = new ConvexHttpClient(url);
signedIn.setAuth(token);
assert.deepEqual(await signedIn.query(getCurrentUserProfile), expected);
assert.deepEqual(await signedIn.consistentQuery(getCurrentUserProfile, {}), expected);
signedIn.clearAuth();
assert.equal(await signedIn.query(getCurrentUserProfile, {}), null);

const refused = new ConvexHttpClient(url);
refused.setAuth("x.y.z");
for (const ask of ["query", "consistentQuery"]) {
  await assert.rejects(refused[ask](getCurrentUserProfile, {}), ({ message }) => {
    const body = JSON.parse(message);
    assert.deepEqual(Object.keys(body), ["code", "message"]);
    assert.equal(body.code, "InvalidAuthHeader");
    return body.message.startsWith("Could not parse JWT payload.");
  });
}

await assert.rejects(signedOut.query(nope, {}), ({ message }) =>
  message.endsWith("Server Error\nCould not find public function for 'profiles/queries:nope'.\n"),
);
await assert.rejects(signedOut.query(getCurrentUserProfile, { foo: 1 }), /ArgumentValidationError/);
for (const ask of ["mutation", "action"]) {
  await assert.rejects(signedOut[ask](getCurrentUserProfile, {}), /but it is defined as Query/);
}

console.log(`npm convex ${version} ConvexHttpClient: query, consistentQuery, refusals`);
