// A page that shows the profile of whoever is signed in, live.
import { ConvexProviderWithAuth, ConvexReactClient, useConvexAuth, useQuery } from "convex/react";
import { anyApi } from "convex/server";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";

// What a sign-in library keeps.
let session = null;
const listeners = new Set();
const subscribe = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
window.bid = (order) => {
  session = order.token;
  for (const listener of listeners) listener();
};

function useAuth() {
  const isAuthenticated = useSyncExternalStore(subscribe, () => session !== null);
  const fetchAccessToken = async () => session;
  return useMemo(() => ({ isLoading: false, isAuthenticated, fetchAccessToken }), [isAuthenticated]);
}

function Profile() {
  const profile = useQuery(anyApi.profiles.queries.getCurrentUserProfile, {});
  const { isAuthenticated } = useConvexAuth();
  useEffect(() => {
    // What a person sees, read back from the page.
    if (profile !== undefined) window.shown(document.querySelector("pre").textContent);
  }, [profile]);
  return (
    <main>
      <h1>{profile ? profile.displayName : "Nobody"}</h1>
      <p>{isAuthenticated ? "signed in" : "signed out"}</p>
      <pre>{profile === undefined ? "loading" : JSON.stringify(profile, null, 2)}</pre>
    </main>
  );
}

const client = new ConvexReactClient(window.url);
createRoot(document.body.appendChild(document.createElement("div"))).render(
  <ConvexProviderWithAuth client={client} useAuth={useAuth}>
    <Profile />
  </ConvexProviderWithAuth>,
);
