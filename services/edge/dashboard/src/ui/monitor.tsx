// The waveform of an open session in real time, a few seconds behind it: the newest samples are
// fetched each second and slide past at the pace of the clock.
import { useEffect, useRef, useState } from "preact/hooks";
import { rawSamples, type SlotTrace } from "../lib/raw";
import { color } from "../lib/theme";
import type { ApiError } from "../lib/api";
import type { DeviceModel, Session } from "../lib/types";
import { asError, useGet } from "../lib/use";
import { Absent, Fault } from "./basic";
import { drawTrace, traceName } from "./wave";

const SHOWN_MS = 8000;
const BEHIND_MS = 2500;
const KEPT_MS = 15000;
const inks: Record<string, string> = { ppg_green: "hr", ppg_red: "bad", ppg_ir: "spo2", acc_3axis: "rr" };

function merge(into: Map<string, SlotTrace>, fresh: SlotTrace[]) {
  let added = false;
  for (const one of fresh) {
    const key = `${one.slot}.${one.channel}`;
    const old = into.get(key);
    if (!old) {
      into.set(key, one);
      added = true;
      continue;
    }
    const last = old.t[old.t.length - 1] ?? -Infinity;
    for (let i = 0; i < one.t.length; i++) {
      if (one.t[i] <= last) continue;
      old.t.push(one.t[i]);
      old.v.push(one.v[i]);
    }
    const oldest = (old.t[old.t.length - 1] ?? 0) - KEPT_MS;
    const cut = old.t.findIndex((t) => t >= oldest);
    if (cut > 500) {
      old.t.splice(0, cut);
      old.v.splice(0, cut);
    }
  }
  return added;
}

export function Monitor({ session }: { session: Session }) {
  const traces = useRef(new Map<string, SlotTrace>());
  const canvases = useRef(new Map<string, HTMLCanvasElement>());
  const [keys, setKeys] = useState<string[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const model = useGet<DeviceModel>(`/v1/device-models/${session.device_model_id}`);

  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    let frame = 0;
    let newest = Date.now() - SHOWN_MS - BEHIND_MS;
    let shift: number | null = null; // of the session's time against ours
    const fetchMore = async () => {
      try {
        const fresh = await rawSamples(session.id, newest, newest + 60000, abort.signal);
        if (merge(traces.current, fresh)) setKeys([...traces.current.keys()]);
        for (const one of traces.current.values()) {
          const last = one.t[one.t.length - 1] ?? 0;
          newest = Math.max(newest, last);
          const seen = Date.now() - last;
          if (shift === null || Math.abs(seen - shift) > 3000) shift = seen;
        }
        setError(null);
      } catch (cause) {
        if (abort.signal.aborted) return;
        setError(asError(cause));
        if (asError(cause).absent) return;
      }
      timer = window.setTimeout(fetchMore, document.hidden ? 5000 : 1000);
    };
    const draw = () => {
      frame = requestAnimationFrame(draw);
      const end = Date.now() - (shift ?? 0) - 1000;
      for (const [key, canvas] of canvases.current) {
        const trace = traces.current.get(key);
        if (trace) drawTrace(canvas, trace, end - SHOWN_MS, end, color(inks[trace.name] || "accent"), 1000);
      }
    };
    fetchMore();
    frame = requestAnimationFrame(draw);
    return () => {
      abort.abort();
      clearTimeout(timer);
      cancelAnimationFrame(frame);
    };
  }, [session.id]);

  if (error?.absent) return <Absent what="The raw waveform" />;
  if (error && !keys.length) return <Fault error={error} />;
  const name = (trace?: SlotTrace) => {
    if (!trace) return "";
    const channel = model.data?.modality_channels[trace.slot];
    if (channel && !trace.name) trace.name = channel.modality;
    return traceName(trace.name || `slot ${trace.slot}`, trace.channel);
  };
  return (
    <div class="monitor">
      {!keys.length && <p class="muted monitor-wait">Waiting for samples…</p>}
      {keys.map((key) => (
        <figure key={key}>
          <figcaption>{name(traces.current.get(key))}</figcaption>
          <canvas
            class="wave"
            role="img"
            aria-label={`Waveform of ${name(traces.current.get(key))}, moving`}
            ref={(canvas) => {
              if (canvas) canvases.current.set(key, canvas);
              else canvases.current.delete(key);
            }}
          />
        </figure>
      ))}
    </div>
  );
}
