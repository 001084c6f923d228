import assert from "node:assert/strict";
import test from "node:test";
import { GenericContainer, Wait } from "testcontainers";

test("a published profile is answered", async () => {
  const projector = await new GenericContainer("profile-projector-dev")
    .withExposedPorts(3210, 3211, 4222)
    .withCopyFilesToContainer([{ source: "events.ndjson", target: "/events.ndjson" }])
    .withWaitStrategy(Wait.forHttp("/readyz", 3211))
    .start();
  try {
    const run = async (...command) => {
      const { exitCode, output } = await projector.exec(["profile-projector", ...command]);
      assert.equal(exitCode, 0, output);
      return output.trim();
    };
    // A producer under test publishes to nats://<host>:<mapped port 4222> instead.
    await run("publish", "/events.ndjson", "--wait", "http://127.0.0.1:3211");
    const token = await run("token", "--data-dir", "/data", "--subject", "user_01ADA");
    const url = `http://${projector.getHost()}:${projector.getMappedPort(3210)}`;
    const response = await fetch(`${url}/api/run/profiles/queries/getCurrentUserProfile`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: '{"args":{}}',
    });
    assert.equal((await response.json()).value.displayName, "Ada");
  } finally {
    await projector.stop();
  }
});
