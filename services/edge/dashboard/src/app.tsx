// Which page an address is. Who is not logged in is asked to, and then brought where they wanted.
import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api, loadMe, me, type ApiError } from "./lib/api";
import { go, match, path } from "./lib/router";
import { asError, useTitle } from "./lib/use";
import { AuditPage } from "./pages/audit";
import { DevicePage, DevicesPage } from "./pages/devices";
import { InsightsPage } from "./pages/insights";
import { KeyPage } from "./pages/key";
import { KeysPage } from "./pages/keys";
import { LivePage } from "./pages/live";
import { InvitePage, LoginPage, SignupPage } from "./pages/login";
import { ModelPage } from "./pages/model";
import { QuickstartPage } from "./pages/quickstart";
import { SessionPage } from "./pages/session";
import { SessionsPage } from "./pages/sessions";
import { SettingsPage } from "./pages/settings";
import { UsagePage } from "./pages/usage";
import { Fault, NotFound, Toasts } from "./ui/basic";
import { Shell } from "./ui/shell";

const AGAIN_MS = 3000; // while the server does not answer at all

type Page = ComponentType<any>; // each takes the parameters of its address

const open: [string, Page][] = [
  ["/login", LoginPage],
  ["/signup", SignupPage],
  ["/invite/{token}", InvitePage],
];

const inside: [string, Page][] = [
  ["/quickstart", QuickstartPage],
  ["/live", LivePage],
  ["/sessions", SessionsPage],
  ["/sessions/{id}", SessionPage],
  ["/insights", InsightsPage],
  ["/devices", DevicesPage],
  ["/devices/types/{id}", ModelPage],
  ["/devices/{id}", DevicePage],
  ["/keys", KeysPage],
  ["/keys/{id}", KeyPage],
  ["/usage", UsagePage],
  ["/audit", AuditPage],
  ["/settings", SettingsPage],
];

function find(table: [string, Page][], at: string) {
  for (const [pattern, Page] of table) {
    const found = match(pattern, at);
    if (found) return <Page key={at} {...found} />;
  }
  return null;
}

function Missing() {
  useTitle("Not found");
  return <NotFound />;
}

// A screen reader is told of the new page: the focus goes to its heading.
function useArrival(at: string) {
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) document.querySelector<HTMLElement>("h1[tabindex]")?.focus({ preventScroll: true });
    first.current = false;
  }, [at]);
}

// Who has streamed is shown what streams; who has not, how to begin.
async function goHome() {
  let to = "/quickstart";
  try {
    if ((await api.get<unknown[]>("/v1/sessions?limit=1")).length) to = "/live";
  } catch {
    // The page that it goes to says what is wrong.
  }
  if (path.value === "/") go(to, { replace: true });
}

export function App() {
  const [error, setError] = useState<ApiError | null>(null);
  const [tries, setTries] = useState(0);
  useEffect(() => {
    loadMe().then(
      () => setError(null),
      (cause) => setError(asError(cause)),
    );
  }, [tries]);
  useEffect(() => {
    if (!error || error.status) return;
    const timer = setTimeout(() => setTries(tries + 1), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [error]);
  const at = path.value;
  const known = me.value;
  const outside = find(open, at);
  useArrival(at);

  useEffect(() => {
    if (known === null && !outside)
      go(at === "/" ? "/login" : `/login?to=${encodeURIComponent(at + location.search)}`, { replace: true });
    if (known && at === "/") goHome();
  }, [known, at]);

  if (error && known === undefined)
    return (
      <div class="alone">
        <Fault error={error} retry={() => setTries(tries + 1)} />
      </div>
    );
  return (
    <>
      {known === undefined ? null : outside ? outside : known && at !== "/" ? <Shell>{find(inside, at) || <Missing />}</Shell> : null}
      <Toasts />
    </>
  );
}
