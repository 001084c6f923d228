package profile

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/wait"
)

func TestAPublishedProfileIsAnswered(t *testing.T) {
	ctx := context.Background()
	projector, err := testcontainers.Run(ctx, "profile-projector-dev",
		testcontainers.WithExposedPorts("3210/tcp", "3211/tcp", "4222/tcp"),
		testcontainers.WithFiles(testcontainers.ContainerFile{
			HostFilePath: "events.ndjson", ContainerFilePath: "/events.ndjson", FileMode: 0o644}),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/readyz").WithPort("3211/tcp")))
	testcontainers.CleanupContainer(t, projector)
	require.NoError(t, err)
	run := func(command ...string) string {
		code, output, err := projector.Exec(ctx, append([]string{"profile-projector"}, command...), exec.Multiplexed())
		require.NoError(t, err)
		said, err := io.ReadAll(output)
		require.NoError(t, err)
		require.Zero(t, code, string(said))
		return strings.TrimSpace(string(said))
	}
	// A producer under test publishes to PortEndpoint(ctx, "4222/tcp", "nats") instead.
	run("publish", "/events.ndjson", "--wait", "http://127.0.0.1:3211")
	token := run("token", "--data-dir", "/data", "--subject", "user_01ADA")
	url, err := projector.PortEndpoint(ctx, "3210/tcp", "http")
	require.NoError(t, err)
	request, err := http.NewRequest("POST", url+"/api/run/profiles/queries/getCurrentUserProfile", strings.NewReader(`{"args":{}}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(answer), `"displayName":"Ada"`)
}
