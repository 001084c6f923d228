// Reads {"now", "audience", "cases": [{"jwks", "token"}]} and answers which tokens jose accepts.
// The issuer is not compared: with or without a slash or scheme it is the same one to us.
import { createLocalJWKSet, jwtVerify } from "jose";
import { text } from "node:stream/consumers";

const { now, audience, cases } = JSON.parse(await text(process.stdin));
const options = {
  algorithms: ["RS256"],
  audience,
  currentDate: new Date(now * 1000),
  // jose refuses a token at the last second of the leeway, we after it.
  clockTolerance: 6,
  requiredClaims: ["iss", "sub", "exp", "iat"],
};

const accepted = [];
for (const { jwks, token } of cases) {
  try {
    await jwtVerify(token, createLocalJWKSet(JSON.parse(jwks)), options);
    accepted.push(true);
  } catch {
    accepted.push(false);
  }
}
console.log(JSON.stringify(accepted));
