// Hooks: what a page asks the server for, page by page, and the time that goes by.
import { signal } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, api } from "./api";
import type { User } from "./types";

export const asError = (error: unknown) =>
  error instanceof ApiError ? error : new ApiError(0, "Something went wrong", String(error), null, null);

export interface Loaded<T> {
  data: T | undefined;
  next: string | null;
  error: ApiError | null;
  loading: boolean;
  reload: () => void;
  set: (data: T) => void;
}

const RETRY_MS = 5000;

// GETs the path (nothing while it is null), again every so often while the page is looked at.
// What is shown stays until there is something newer; a lost connection is tried again.
export function useGet<T>(path: string | null, everyMs = 0): Loaded<T> {
  const [state, setState] = useState<{
    path: string | null;
    data: T | undefined;
    next: string | null;
    error: ApiError | null;
    loading: boolean;
  }>({ path, data: undefined, next: null, error: null, loading: path !== null });
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    let timer = 0;
    let failed = false;
    const load = async () => {
      try {
        const { items, next } = await api.page<T>(path, abort.signal);
        failed = false;
        setState({ path, data: items, next, error: null, loading: false });
      } catch (cause) {
        if (abort.signal.aborted) return;
        const error = asError(cause);
        failed = error.status === 0 || error.status === 503;
        if (error.status === 0) return plan(); // the frame of the page says so
        setState((old) => ({
          path,
          data: old.path === path ? old.data : undefined,
          next: old.path === path ? old.next : null,
          error,
          loading: false,
        }));
        if (!failed) return;
      }
      plan();
    };
    const plan = () => {
      const ms = failed ? RETRY_MS : everyMs;
      if (ms) timer = window.setTimeout(() => (document.hidden ? plan() : load()), ms);
    };
    setState((old) => (old.path === path ? { ...old, loading: true } : { ...old, path, loading: true }));
    load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, turn, everyMs]);

  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const set = useCallback(
    (data: T) => setState((old) => ({ ...old, data, error: null })),
    [],
  );
  return { ...state, reload, set };
}

export interface Pages<T> extends Loaded<T[]> {
  page: number;
  older: (() => void) | null;
  newer: (() => void) | null;
}

// A list of the server, a page at a time, by the links that it gives. The first page is live.
export function usePages<T>(path: string | null, everyMs = 0): Pages<T> {
  const [trail, setTrail] = useState<{ first: string | null; paths: string[] }>({
    first: path,
    paths: [],
  });
  const paths = trail.first === path ? trail.paths : [];
  const loaded = useGet<T[]>(paths.length ? paths[paths.length - 1] : path, paths.length ? 0 : everyMs);
  const older = loaded.next
    ? () => setTrail({ first: path, paths: [...paths, loaded.next as string] })
    : null;
  const newer = paths.length ? () => setTrail({ first: path, paths: paths.slice(0, -1) }) : null;
  return { ...loaded, page: paths.length + 1, older, newer };
}

// The wall clock, for "3 min ago"; one timer for the whole page.
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 5000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.value = Date.now();
});

// Something the person asked for: busy while it runs, and what went wrong.
export function useAction<A extends unknown[]>(action: (...args: A) => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const alive = useRef(true);
  useEffect(() => {
    alive.current = true;
    return () => void (alive.current = false);
  }, []);
  const run = async (...args: A) => {
    setBusy(true);
    setError(null);
    try {
      await action(...args);
    } catch (cause) {
      if (alive.current) setError(asError(cause));
    } finally {
      if (alive.current) setBusy(false);
    }
  };
  return { run, busy, error, clear: () => setError(null) };
}

// A value once it has been the same for a while: what is asked while somebody types.
export function useSettled<T>(value: T, ms: number) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

export function useTitle(title: string) {
  useEffect(() => {
    document.title = `${title} · raeh`;
  }, [title]);
}

const names = signal<Map<string, string>>(new Map());
let namesAsked = 0;

// The e-mail of a user of this account, by id; null while it is not known, or is not a user's.
export function useUserName(id: string | null) {
  useEffect(() => {
    if (!id || Date.now() - namesAsked < 60000) return;
    namesAsked = Date.now();
    api.get<User[]>("/v1/users").then(
      (users) => (names.value = new Map(users.map((user) => [user.id, user.email]))),
      () => undefined, // an id without a name is shown as it is
    );
  }, [id]);
  return (id && names.value.get(id)) || null;
}
