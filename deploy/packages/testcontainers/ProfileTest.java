import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import org.junit.jupiter.api.Test;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.utility.MountableFile;

class ProfileTest {
  @Test
  void aPublishedProfileIsAnswered() throws Exception {
    try (var projector = new GenericContainer<>("profile-projector-dev")
        .withExposedPorts(3210, 3211, 4222)
        .withCopyFileToContainer(MountableFile.forHostPath("events.ndjson"), "/events.ndjson")
        .waitingFor(Wait.forHttp("/readyz").forPort(3211))) {
      projector.start();
      // A producer under test publishes to nats://<host>:<mapped port 4222> instead.
      var published = projector.execInContainer(
          "profile-projector", "publish", "/events.ndjson", "--wait", "http://127.0.0.1:3211");
      assertTrue(published.getExitCode() == 0, published.getStdout() + published.getStderr());
      var token = projector.execInContainer(
          "profile-projector", "token", "--data-dir", "/data", "--subject", "user_01ADA").getStdout().strip();
      var url = "http://%s:%d/api/run/profiles/queries/getCurrentUserProfile"
          .formatted(projector.getHost(), projector.getMappedPort(3210));
      var request = HttpRequest.newBuilder(URI.create(url))
          .header("Content-Type", "application/json").header("Authorization", "Bearer " + token)
          .POST(HttpRequest.BodyPublishers.ofString("{\"args\":{}}")).build();
      var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
      assertTrue(answer.contains("\"displayName\":\"Ada\""), answer);
    }
  }
}
