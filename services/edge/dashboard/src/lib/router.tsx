// Where we are, and how to get elsewhere: the history of the browser as a signal.
import { computed, signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";

const here = () => ({ path: location.pathname, search: location.search });
const current = signal(here());

export const path = computed(() => current.value.path);
export const params = computed(() => new URLSearchParams(current.value.search));

addEventListener("popstate", () => (current.value = here()));

export function go(to: string, { replace = false, keepScroll = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  current.value = here();
  if (!keepScroll) scrollTo(0, 0);
}

// Changes what the address asks for, in place: filters survive a reload and a shared link.
export function setParams(values: Record<string, string | null>) {
  const next = new URLSearchParams(current.value.search);
  for (const [name, value] of Object.entries(values))
    if (value) next.set(name, value);
    else next.delete(name);
  const text = next.toString();
  go(current.value.path + (text ? `?${text}` : ""), { replace: true, keepScroll: true });
}

// "/sessions/{id}" against a path: its parameters, or null.
export function match(pattern: string, to: string): Record<string, string> | null {
  const want = pattern.split("/");
  const got = to.replace(/(.)\/$/, "$1").split("/");
  if (want.length !== got.length) return null;
  const found: Record<string, string> = {};
  for (let i = 0; i < want.length; i++) {
    if (want[i].startsWith("{")) {
      try {
        found[want[i].slice(1, -1)] = decodeURIComponent(got[i]);
      } catch {
        return null;
      }
    } else if (want[i] !== got[i]) return null;
  }
  return found;
}

type LinkProps = { href: string; children: ComponentChildren } & Omit<
  JSX.AnchorHTMLAttributes<HTMLAnchorElement>,
  "href"
>;

export function Link({ href, children, onClick, ...rest }: LinkProps) {
  const click = (event: JSX.TargetedMouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const plain = !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (event.defaultPrevented || !plain || event.button !== 0) return;
    event.preventDefault();
    go(href);
  };
  return (
    <a href={href} onClick={click} {...rest}>
      {children}
    </a>
  );
}
