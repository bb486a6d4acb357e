// How a device's clock runs, in a word or two: asked of a session, a few at a time, and kept.
import { useEffect, useState } from "preact/hooks";
import { ApiError, api } from "./api";
import { brief, count, plural } from "./format";

export interface SlotClock {
  slot_id: number;
  modality: string;
  declared_hz: number;
  measured_hz: number | null;
  offset_ms: number | null;
  drift_ppm: number | null;
  skew_ms: number | null;
  steps_back: number;
}

export interface Verdict {
  good: boolean;
  text: string;
  more: string; // a sentence
}

const DRIFT_PPM = 100; // two crystals of ±50 ppm are never further apart
const OFFSET_MS = 60000; // more than any way to the server takes
const ASKING_MOST = 4;
const AGAIN_MS = 60000; // while the session is open, or after a fault
const KEPT_MOST = 1000;

const farthest = (values: (number | null)[]) =>
  values.reduce<number | null>((most, one) => (one !== null && (most === null || Math.abs(one) > Math.abs(most)) ? one : most), null);

// The worst that is known of any slot; null while nothing can be said.
export function verdictOf(slots: SlotClock[]): Verdict | null {
  const steps = Math.max(0, ...slots.map((slot) => slot.steps_back));
  const offset = farthest(slots.map((slot) => slot.offset_ms));
  const drift = farthest(slots.map((slot) => slot.drift_ppm));
  if (steps) return { good: false, text: "steps back", more: `The clock was set back ${plural(steps, "time")}.` };
  if (drift !== null && Math.abs(drift) > DRIFT_PPM)
    return { good: false, text: `drifts ${count(Math.round(Math.abs(drift)))} ppm`, more: `The clock runs ${drift > 0 ? "fast" : "slow"} against the server's.` };
  if (offset !== null && Math.abs(offset) > OFFSET_MS)
    return { good: false, text: `off by ${brief(Math.abs(offset))}`, more: `The clock is ${offset > 0 ? "behind" : "ahead of"} the server's.` };
  if (drift === null) return null;
  return { good: true, text: "good", more: "The clock runs with the server's." };
}

let asking = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>) {
  if (asking < ASKING_MOST) asking++;
  else await new Promise<void>((go) => waiting.push(go));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next(); // has the place of this one
    else asking--;
  }
}

const kept = new Map<string, { verdict: Verdict | null; until: number }>(); // by session, oldest first

function keep(session: string, verdict: Verdict | null, until: number) {
  kept.delete(session);
  kept.set(session, { verdict, until });
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT_MOST) break;
    kept.delete(oldest);
  }
}

// undefined: not known yet; null: nothing can be said. What is kept of a closed session is final.
export function useClock(session: string | null, open: boolean): Verdict | null | undefined {
  const [, redraw] = useState({});
  useEffect(() => {
    if (!session) return;
    const abort = new AbortController();
    let timer = 0;
    const load = async () => {
      try {
        const clock = await inTurn(() => api.get<{ slots: SlotClock[] }>(`/v1/sessions/${session}/clock`, abort.signal));
        keep(session, verdictOf(clock.slots), open ? Date.now() + AGAIN_MS : Infinity);
      } catch (error) {
        if (abort.signal.aborted) return;
        const gone = error instanceof ApiError && error.absent && !open;
        keep(session, kept.get(session)?.verdict ?? null, gone ? Infinity : Date.now() + AGAIN_MS);
      }
      redraw({});
      plan();
    };
    const plan = () => {
      const until = kept.get(session)?.until;
      if (until === undefined) load();
      else if (until !== Infinity) timer = window.setTimeout(() => (document.hidden ? later() : load()), Math.max(0, until - Date.now()));
    };
    const later = () => (timer = window.setTimeout(plan, AGAIN_MS));
    plan();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [session, open]);
  return session ? kept.get(session)?.verdict : null;
}
