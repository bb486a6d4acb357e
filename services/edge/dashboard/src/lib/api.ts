// The REST interface, asked with the cookie of the login. A fault is an ApiError whose words may
// be shown as they are.
import { signal } from "@preact/signals";
import type { Me } from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly requestId: string | null,
    readonly retryAfterS: number | null,
  ) {
    super(detail || title);
  }

  // The server is of an age that has not got this part.
  get absent() {
    return this.status === 404 || this.status === 405 || this.status === 501;
  }
}

export interface Page<T> {
  items: T;
  next: string | null; // the path of the next page
}

// undefined: not known yet; null: nobody is logged in.
export const me = signal<Me | null | undefined>(undefined);

// The server does not answer at all: the frame of every page says so until it does.
export const away = signal(false);

const offline = "The server cannot be reached. Check the connection; this page tries again.";

async function fault(answer: Response) {
  let problem: { title?: string; detail?: string; request_id?: string } = {};
  try {
    problem = await answer.json();
  } catch {
    // A proxy between us and the server: its status says all there is.
  }
  const retry = Number(answer.headers.get("retry-after"));
  return new ApiError(
    answer.status,
    problem.title || answer.statusText || `Status ${answer.status}`,
    problem.detail || "",
    problem.request_id || null,
    retry > 0 ? retry : null,
  );
}

async function ask(method: string, path: string, body?: unknown, abort?: AbortSignal) {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && me.value) headers["X-CSRF-Token"] = me.value.csrf;
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal: abort,
    });
  } catch (error) {
    if (abort?.aborted) throw error;
    away.value = true;
    throw new ApiError(0, "No connection", offline, null, null);
  }
  away.value = false;
  if (answer.ok) return answer;
  const error = await fault(answer);
  if (error.status === 401 && me.value && path !== "/v1/login") me.value = null;
  throw error;
}

export function nextOf(answer: Response) {
  const match = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.headers.get("link") || "");
  if (!match) return null;
  const url = new URL(match[1], location.origin);
  return url.origin === location.origin ? url.pathname + url.search : null;
}

// On the way out of the page: sent even though nobody hears the answer.
export function delOnLeaving(path: string) {
  if (!me.value) return;
  fetch(path, { method: "DELETE", headers: { "X-CSRF-Token": me.value.csrf }, keepalive: true }).catch(() => undefined);
}

async function json<T>(method: string, path: string, body?: unknown, abort?: AbortSignal) {
  const answer = await ask(method, path, body, abort);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const api = {
  get: <T>(path: string, abort?: AbortSignal) => json<T>("GET", path, undefined, abort),
  post: <T>(path: string, body: unknown = {}) => json<T>("POST", path, body),
  put: <T>(path: string, body: unknown) => json<T>("PUT", path, body),
  patch: <T>(path: string, body: unknown) => json<T>("PATCH", path, body),
  del: <T>(path: string, body?: unknown) => json<T>("DELETE", path, body),

  async page<T>(path: string, abort?: AbortSignal): Promise<Page<T>> {
    const answer = await ask("GET", path, undefined, abort);
    return { items: (await answer.json()) as T, next: nextOf(answer) };
  },

  async text(path: string, abort?: AbortSignal) {
    const answer = await ask("GET", path, undefined, abort);
    return { text: await answer.text(), next: nextOf(answer) };
  },
};

// Asked while the server is away: does it live again?
export async function knock() {
  try {
    if ((await fetch("/healthz")).ok) away.value = false;
  } catch {
    // Not yet.
  }
}

// Every row of a list, at most so many: for what is drawn whole, as a chart is.
export async function everyRow<T>(path: string, most: number, abort?: AbortSignal) {
  const rows: T[] = [];
  let next: string | null = path;
  while (next && rows.length < most) {
    const page: Page<T[]> = await api.page<T[]>(next, abort);
    rows.push(...page.items);
    next = page.next;
  }
  return { rows, whole: next === null };
}

export async function loadMe() {
  try {
    me.value = await api.get<Me>("/v1/me");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) me.value = null;
    else throw error;
  }
}

export const query = (values: Record<string, string | number | null | undefined>) => {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : "";
};
