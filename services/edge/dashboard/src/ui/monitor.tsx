// The waveform of an open session as it comes: what is new is fetched a few times a second and
// slides past at the pace of the clock, a moment behind it.
import { useEffect, useRef, useState } from "preact/hooks";
import { newestSamples } from "../lib/raw";
import { Tape } from "../lib/tape";
import { color } from "../lib/theme";
import type { ApiError } from "../lib/api";
import type { DeviceModel, Session } from "../lib/types";
import { asError, useGet } from "../lib/use";
import { Absent, Fault } from "./basic";
import { bySlot, drawTraces, inkOf, WaveTitle, type Frame } from "./wave";

const SHOWN_MS = 8000;
const FETCH_MS = 250;
const AGAIN_MS = 2000; // after a fault
const NEWEST = 200; // frames, at first and after an absence
const SAY_MS = 500;
const STEP_MS = 1000; // of a picture for who does not want things to move

const still = matchMedia("(prefers-reduced-motion: reduce)");

interface Picture {
  canvas: HTMLCanvasElement;
  frame: Frame;
}

export function Monitor({ session }: { session: Session }) {
  const tape = useRef(new Tape());
  const pictures = useRef(new Map<number, Picture>());
  const behind = useRef<HTMLSpanElement>(null);
  const [version, setVersion] = useState(0);
  const [error, setError] = useState<ApiError | null>(null);
  const model = useGet<DeviceModel>(`/v1/device-models/${session.device_model_id}`);

  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    let busy = false;
    let path = `/v1/sessions/${session.id}/frames?newest=${NEWEST}`;
    const fetchMore = async () => {
      const began = Date.now();
      let wait = FETCH_MS;
      busy = true;
      try {
        const { fresh, next } = await newestSamples(path, abort.signal);
        path = next;
        tape.current.take(fresh, Date.now());
        setVersion(tape.current.version);
        setError(null);
      } catch (cause) {
        if (abort.signal.aborted) return;
        const fault = asError(cause);
        if (fault.status) setError(fault); // else the frame of the page says so
        if (fault.absent) return;
        wait = AGAIN_MS;
      }
      busy = false;
      timer = window.setTimeout(plan, Math.max(20, wait - (Date.now() - began)));
    };
    const plan = () => {
      if (!document.hidden && !busy) fetchMore();
    };
    const seen = () => {
      clearTimeout(timer);
      plan();
    };
    document.addEventListener("visibilitychange", seen);
    plan();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [session.id]);

  useEffect(() => {
    let frame = 0;
    let said = 0;
    const draw = () => {
      frame = requestAnimationFrame(draw);
      const now = Date.now();
      let end = tape.current.at(now);
      if (end === null) return;
      if (still.matches) end = Math.floor(end / STEP_MS) * STEP_MS;
      for (const [slot, traces] of bySlot(tape.current.traces.values())) {
        const picture = pictures.current.get(slot);
        if (picture)
          drawTraces(picture.canvas, { traces, from: end - SHOWN_MS, to: end, colors: traces.map((one) => color(inkOf(one.name, one.channel))), frame: picture.frame, edge: true });
      }
      if (now - said < SAY_MS || !behind.current) return;
      said = now;
      const delay = tape.current.delay(now);
      behind.current.textContent = delay === null ? "silent" : `${(delay / 1000).toFixed(1)} s behind`;
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [session.id]);

  if (error?.absent) return <Absent what="The raw waveform" />;
  if (error && !version) return <Fault error={error} />;
  const slots = bySlot(tape.current.traces.values());
  const rate = (slot: number) => {
    const channel = model.data?.modality_channels[slot];
    return channel && `${+channel.sample_rate_hz.toFixed(2)} Hz`;
  };
  return (
    <div class="monitor" data-live={version > 0}>
      {!slots.length && <p class="muted monitor-wait">Waiting for samples…</p>}
      {slots.map(([slot, traces], i) => (
        <figure key={slot}>
          <WaveTitle modality={traces[0].name} traces={traces} more={rate(slot)} />
          <canvas
            class="wave"
            role="img"
            aria-label="Live waveform"
            ref={(canvas) => {
              const old = pictures.current.get(slot);
              if (!canvas) pictures.current.delete(slot);
              else if (old?.canvas !== canvas) pictures.current.set(slot, { canvas, frame: { low: 0, high: 0, at: 0 } });
            }}
          />
          {i === slots.length - 1 && (
            <p class="wave-foot">
              <span>{SHOWN_MS / 1000} s</span>
              <span ref={behind} />
            </p>
          )}
        </figure>
      ))}
    </div>
  );
}
