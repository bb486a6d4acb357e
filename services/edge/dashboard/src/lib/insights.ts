// The insights of a session, by type: loaded page by page, and while it is open asked on for what
// has come. Of very many the lowest and the highest of each few are kept, so that a week fits.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, query, type ApiError } from "./api";
import type { Insight } from "./types";
import { asError } from "./use";

const PAGE = 5000; // rows; as many as the server still compresses
const KEPT_MOST = 60000; // of a type: a day of heart rates is 43,200
const AGAIN_MS = 1000;
const FAULT_MS = 5000;

export interface SessionInsights {
  byType: Map<string, Insight[]>; // oldest first
  whole: boolean; // up to now
  thinned: boolean;
}

// Of each four the lowest and the highest.
function thin(rows: Insight[]) {
  const kept: Insight[] = [];
  for (let i = 0; i < rows.length; i += 4) {
    const four = rows.slice(i, i + 4);
    const low = four.reduce((a, b) => (b.value < a.value ? b : a));
    const high = four.reduce((a, b) => (b.value >= a.value ? b : a));
    kept.push(...(low === high ? [low] : low.t < high.t ? [low, high] : [high, low]));
  }
  return kept;
}

function taken(old: SessionInsights, rows: Insight[], whole: boolean): SessionInsights {
  if (!rows.length && old.whole === whole) return old;
  const byType = new Map(old.byType);
  let thinned = old.thinned;
  for (const row of rows) {
    const group = byType.get(row.type);
    if (!group) byType.set(row.type, [row]);
    else if (group === old.byType.get(row.type)) byType.set(row.type, [...group, row]);
    else group.push(row);
  }
  for (const [type, group] of byType) {
    if (group === old.byType.get(type)) continue;
    if (group.some((row, i) => i > 0 && group[i - 1].t > row.t)) group.sort((a, b) => a.t - b.t);
    if (group.length <= KEPT_MOST) continue;
    byType.set(type, thin(group));
    thinned = true;
  }
  return { byType, whole, thinned };
}

export function useInsights(id: string | null, open: boolean) {
  const [all, setAll] = useState<SessionInsights>({ byType: new Map(), whole: false, thinned: false });
  const [error, setError] = useState<ApiError | null>(null);
  const last = useRef<string | null>(null); // id
  useEffect(() => {
    if (!id) return;
    const abort = new AbortController();
    let timer = 0;
    const page = async () => {
      const got = await api.page<Insight[]>(`/v1/sessions/${id}/insights${query({ limit: PAGE, after: last.current })}`, abort.signal);
      if (got.items.length) last.current = got.items[got.items.length - 1].id;
      setAll((old) => taken(old, got.items, !got.next));
      return got.next !== null;
    };
    const load = async () => {
      let wait = open ? AGAIN_MS : 0;
      try {
        while (await page());
        setError(null);
      } catch (cause) {
        if (abort.signal.aborted) return;
        const fault = asError(cause);
        if (fault.status) setError(fault); // else the frame of the page says so
        if (fault.status && fault.status < 500) return;
        wait = FAULT_MS;
      }
      if (wait) timer = window.setTimeout(again, wait);
    };
    const again = () => {
      if (document.hidden) timer = window.setTimeout(again, AGAIN_MS);
      else load();
    };
    load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [id, open]);
  return { ...all, error };
}
