// One socket for every insight of the account, shared by whatever shows them. It reconnects, and
// asks for what came meanwhile.
import { signal } from "@preact/signals";
import type { Insight } from "./types";

export type LiveState = "connecting" | "live" | "away";
export const liveState = signal<LiveState>("connecting");

type Listener = (insight: Insight) => void;
const listeners = new Set<Listener>();
let socket: WebSocket | null = null;
let timer = 0;
let failures = 0;

function open() {
  const where = location.origin.replace(/^http/, "ws");
  liveState.value = failures ? "away" : "connecting";
  const mine = new WebSocket(`${where}/stream/subscribe`);
  socket = mine;
  mine.onmessage = (event) => {
    const message = JSON.parse(event.data as string) as Partial<Insight> & { status?: string };
    if (message.status === "subscribed") {
      failures = 0;
      liveState.value = "live";
    } else if (message.type && message.session_id) {
      for (const listener of listeners) listener(message as Insight);
    }
  };
  mine.onclose = () => {
    if (socket !== mine) return;
    socket = null;
    liveState.value = "away";
    if (!listeners.size) return;
    const ms = Math.min(15000, 500 * 2 ** failures++) * (0.5 + Math.random() / 2);
    timer = window.setTimeout(open, ms);
  };
}

function close() {
  clearTimeout(timer);
  const old = socket;
  socket = null;
  failures = 0;
  liveState.value = "connecting";
  old?.close(1000);
}

// Hears every insight until the answer is called.
export function listen(listener: Listener) {
  listeners.add(listener);
  if (listeners.size === 1) open();
  return () => {
    listeners.delete(listener);
    if (!listeners.size) close();
  };
}
