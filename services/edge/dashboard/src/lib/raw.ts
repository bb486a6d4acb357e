// Raw samples of a session, from its export as CSV, as traces to draw.
import { api } from "./api";
import type { Trace } from "../ui/wave";

export interface SlotTrace extends Trace {
  slot: number;
  channel: number;
  name: string;
  period: number; // ms between samples, 0 while it is not known
}

// One line a sample: a column of time in ms (`t_ms`), `slot_id`, `channel` and `value`. Columns are
// found by name, so that a newer server may add some.
export function readCsv(text: string): SlotTrace[] {
  const lines = text.split("\n");
  const names = (lines[0] || "").trim().split(",");
  const at = (...wanted: string[]) => names.findIndex((name) => wanted.includes(name.trim()));
  const time = at("t_ms", "t", "time_ms");
  const slot = at("slot_id", "slot");
  const channel = at("channel");
  const value = at("value");
  const modality = at("modality");
  const traces = new Map<string, SlotTrace>();
  if (time < 0 || value < 0) return [];
  for (let i = 1; i < lines.length; i++) {
    if (!lines[i]) continue;
    const cells = lines[i].split(",");
    const key = `${cells[slot] ?? 0}.${cells[channel] ?? 0}`;
    let trace = traces.get(key);
    if (!trace) {
      trace = { slot: Number(cells[slot] ?? 0), channel: Number(cells[channel] ?? 0), name: cells[modality] || "", period: 0, t: [], v: [] };
      traces.set(key, trace);
    }
    trace.t.push(Number(cells[time]));
    trace.v.push(Number(cells[value]));
  }
  for (const trace of traces.values()) trace.period = periodOf(trace);
  return [...traces.values()];
}

export async function rawSamples(session: string, from: number, to: number, abort?: AbortSignal) {
  const asked = new URLSearchParams({ format: "csv", from: String(Math.round(from)), to: String(Math.round(to)) });
  return readCsv((await api.text(`/v1/sessions/${session}/frames?${asked}`, abort)).text);
}

// The newest samples, then, with the path that came with them, what has come since.
export async function newestSamples(path: string, abort?: AbortSignal) {
  const { text, next } = await api.text(path, abort);
  return { fresh: readCsv(text), next: next ?? path };
}

// How far apart a trace's samples usually are, in ms.
export function periodOf({ t }: Trace) {
  const apart: number[] = [];
  for (let i = Math.max(1, t.length - 64); i < t.length; i++) apart.push(t[i] - t[i - 1]);
  return apart.length ? apart.sort((a, b) => a - b)[apart.length >> 1] : 0;
}
