// Raw samples of a session, from its export as CSV, as traces to draw.
import { api } from "./api";
import type { Trace } from "../ui/wave";

export interface SlotTrace extends Trace {
  slot: number;
  channel: number;
  name: string;
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
      trace = { slot: Number(cells[slot] ?? 0), channel: Number(cells[channel] ?? 0), name: cells[modality] || "", t: [], v: [] };
      traces.set(key, trace);
    }
    trace.t.push(Number(cells[time]));
    trace.v.push(Number(cells[value]));
  }
  return [...traces.values()];
}

export async function rawSamples(session: string, from: number, to: number, abort?: AbortSignal) {
  const asked = new URLSearchParams({ format: "csv", from: String(Math.round(from)), to: String(Math.round(to)) });
  return readCsv(await api.text(`/v1/sessions/${session}/frames?${asked}`, abort));
}
