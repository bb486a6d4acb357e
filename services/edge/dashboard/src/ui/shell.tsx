// The frame around every page of somebody who is logged in.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api, away, knock, me } from "../lib/api";
import { Link, go, path } from "../lib/router";
import { setTheme, theme, type Theme } from "../lib/theme";
import { stopWatch, watchSession, watchState } from "../lib/watch";
import { Button, toast } from "./basic";
import { Icon, type IconName } from "./icon";

const sections: { title: string; links: [string, string, IconName][] }[] = [
  {
    title: "Monitor",
    links: [
      ["/live", "Live", "live"],
      ["/sessions", "Sessions", "sessions"],
      ["/insights", "Insights", "insights"],
    ],
  },
  {
    title: "Build",
    links: [
      ["/quickstart", "Quickstart", "start"],
      ["/keys", "API Keys", "keys"],
      ["/devices", "Devices", "devices"],
    ],
  },
  {
    title: "Account",
    links: [
      ["/usage", "Usage", "usage"],
      ["/audit", "Audit", "audit"],
      ["/settings", "Settings", "settings"],
    ],
  },
];

const themes: [Theme, string, IconName][] = [
  ["light", "Light", "sun"],
  ["dark", "Dark", "moon"],
  ["system", "As the system", "system"],
];

export function ThemeSwitch() {
  return (
    <div class="theme-switch" role="group" aria-label="Theme">
      {themes.map(([key, label, icon]) => (
        <button key={key} type="button" aria-label={label} title={label} aria-pressed={theme.value === key} onClick={() => setTheme(key)}>
          <Icon name={icon} size={15} />
        </button>
      ))}
    </div>
  );
}

export async function logout() {
  stopWatch(); // its key is deleted with this login
  try {
    await api.post("/v1/logout");
  } catch {
    toast("The server did not confirm the log-out. Try again.", true);
    return;
  }
  me.value = null;
  go("/login");
}

// While this browser plays a watch, every page says so.
function WatchNote({ onPick }: { onPick?: () => void }) {
  if (watchState.value !== "on") return null;
  return (
    <div class="watch-note">
      <Link href={`/sessions/${watchSession.value}`} onClick={onPick}>
        <span class="dot" /> Watch in this browser
      </Link>
      <Button small kind="quiet" onClick={stopWatch}>
        Stop
      </Button>
    </div>
  );
}

function Nav({ onPick }: { onPick?: () => void }) {
  const here = path.value;
  return (
    <>
      <Link href="/" class="brand" onClick={onPick}>
        <Icon name="logo" size={22} /> raeh
      </Link>
      <nav aria-label="Main">
        {sections.map((section) => (
          <div key={section.title} class="nav-group">
            <p class="nav-title">{section.title}</p>
            {section.links.map(([href, text, icon]) => (
              <Link key={href} href={href} class="nav-link" aria-current={here === href || here.startsWith(`${href}/`) ? "page" : undefined} onClick={onPick}>
                <Icon name={icon} /> {text}
              </Link>
            ))}
          </div>
        ))}
      </nav>
      <div class="nav-foot">
        <WatchNote onPick={onPick} />
        <ThemeSwitch />
        <div class="who">
          <span class="who-name" title={me.value?.user.email}>
            {me.value?.user.email}
          </span>
          <button type="button" class="icon-button" aria-label="Log out" title="Log out" onClick={logout}>
            <Icon name="logout" />
          </button>
        </div>
      </div>
    </>
  );
}

const KNOCK_MS = 2000;

// What is shown stays; every page asks again by itself.
function Away() {
  useEffect(() => {
    if (!away.value) return;
    const timer = setInterval(knock, KNOCK_MS);
    return () => clearInterval(timer);
  }, [away.value]);
  return (
    <div role="status" class="away-place">
      {away.value && (
        <p class="away">
          <span class="dot" /> The server does not answer. What you see may be old; trying again…
        </p>
      )}
    </div>
  );
}

export function Shell({ children }: { children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const drawer = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) drawer.current?.showModal();
    else drawer.current?.close();
  }, [open]);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <aside class="side">
        <Nav />
      </aside>
      <div class="topbar">
        <button type="button" class="icon-button" aria-label="Menu" aria-expanded={open} onClick={() => setOpen(true)}>
          <Icon name="menu" size={20} />
        </button>
        <Link href="/" class="brand">
          <Icon name="logo" size={20} /> raeh
        </Link>
      </div>
      <dialog ref={drawer} class="drawer" aria-label="Menu" onClose={() => setOpen(false)} onMouseDown={(event) => event.target === drawer.current && setOpen(false)}>
        <div class="drawer-body">{open && <Nav onPick={() => setOpen(false)} />}</div>
      </dialog>
      <main id="main" tabIndex={-1}>
        <Away />
        {children}
      </main>
    </div>
  );
}
