// Raw waveforms on a canvas: a sensor a picture, its channels one over the other on one scale.
// Where samples are missing nothing is drawn but a shade. Samples are [t ms, value] in order.
import { useEffect, useRef } from "preact/hooks";
import { modalityName } from "../lib/format";
import type { SlotTrace } from "../lib/raw";
import { color, repaint } from "../lib/theme";

export interface Trace {
  t: number[];
  v: number[];
  period: number;
}

const inks: Record<string, string[]> = {
  ppg_green: ["hr"],
  ppg_red: ["bad"],
  ppg_ir: ["other"],
  acc_3axis: ["spo2", "rr", "other"],
};
export const inkOf = (modality: string, channel: number) => {
  const own = inks[modality] || ["accent", "hr", "rr", "spo2", "other", "bad"];
  return own[channel % own.length];
};

// "x", "2": of a sensor of several channels.
export const channelName = (modality: string, channel: number) => (modality === "acc_3axis" ? "xyz"[channel] : String(channel + 1));

const GAP_PERIODS = 3;
const SILENT_MS = 500; // so much after the last sample is a gap too
const EVERY_MS = [100, 200, 500, 1000, 2000, 5000];

// What a picture has shown, so that the next can differ little.
export interface Frame {
  low: number;
  high: number;
  at: number;
}

interface Drawing {
  traces: Trace[];
  from: number;
  to: number;
  colors: string[];
  frame?: Frame; // of a picture that moves: its scale glides
  edge?: boolean; // the newest sample as a dot
}

const after = (t: number[], from: number) => {
  let [low, high] = [0, t.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (t[middle] < from) low = middle + 1;
    else high = middle;
  }
  return low;
};

// Up at once, down slowly: a beat is never cut off, and the picture does not pump.
function glide(frame: Frame, low: number, high: number, now: number) {
  const passed = frame.at ? now - frame.at : Infinity;
  const toward = (old: number, next: number, wider: boolean) => next + (old - next) * Math.exp(-passed / (wider ? 120 : 2500));
  frame.low = toward(frame.low, low, low < frame.low);
  frame.high = toward(frame.high, high, high > frame.high);
  frame.at = now;
}

function scaleOf({ traces, from, to, frame }: Drawing): [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (const { t, v } of traces)
    for (let i = after(t, from); i < t.length && t[i] <= to; i++) {
      if (v[i] < low) low = v[i];
      if (v[i] > high) high = v[i];
    }
  if (!(high >= low)) return frame?.at ? [frame.low, frame.high] : null;
  const room = Math.max(1e-9, (high - low) * 0.06, Math.abs(high) * 1e-6);
  [low, high] = [low - room, high + room];
  if (!frame) return [low, high];
  if (!frame.at) [frame.low, frame.high] = [low, high];
  glide(frame, low, high, performance.now());
  return [frame.low, frame.high];
}

function drawGrid(ctx: CanvasRenderingContext2D, from: number, to: number, width: number, height: number) {
  const every = EVERY_MS.find((ms) => (to - from) / ms <= 12) || 10000;
  ctx.strokeStyle = color("line");
  ctx.lineWidth = Math.max(1, Math.round(devicePixelRatio));
  ctx.beginPath();
  for (let t = Math.ceil(from / every) * every; t < to; t += every) {
    const x = Math.round(((t - from) / (to - from)) * width) + 0.5;
    ctx.moveTo(x, 0);
    ctx.lineTo(x, height);
  }
  ctx.stroke();
}

// A line through the samples; of many in one pixel, their span. Calls gap() where some are missing.
function drawLine(ctx: CanvasRenderingContext2D, trace: Trace, from: number, to: number, x: (t: number) => number, y: (v: number) => number, gap: (a: number, b: number) => void) {
  const { t, v } = trace;
  const far = Math.max(trace.period * GAP_PERIODS, trace.period + 20);
  let pixel = NaN;
  let [low, high] = [0, 0];
  let last = -1;
  ctx.beginPath();
  const first = Math.max(0, after(t, from) - 1);
  for (let i = first; i < t.length && (last < 0 || t[last] <= to); i++) {
    const place = x(t[i]);
    const torn = last >= 0 && t[i] - t[last] > far;
    if (torn) gap(x(t[last]), place);
    if (last < 0 || torn) ctx.moveTo(place, y(v[i]));
    else if (Math.floor(place) !== pixel) ctx.lineTo(place, y(v[i]));
    if (Math.floor(place) !== pixel || torn) {
      pixel = Math.floor(place);
      low = high = v[i];
    } else if (v[i] < low) ctx.lineTo(place, y((low = v[i])));
    else if (v[i] > high) ctx.lineTo(place, y((high = v[i])));
    last = i;
  }
  ctx.stroke();
  if (last >= 0 && to - t[last] > Math.max(far, SILENT_MS)) gap(x(t[last]), x(to));
  return last;
}

export function drawTraces(canvas: HTMLCanvasElement, drawing: Drawing) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const ctx = canvas.getContext("2d");
  if (!ctx) return;
  const { traces, from, to, colors, edge } = drawing;
  ctx.clearRect(0, 0, width, height);
  drawGrid(ctx, from, to, width, height);
  const scale = scaleOf(drawing);
  if (!scale) return;
  const [low, high] = scale;
  const x = (t: number) => ((t - from) / (to - from)) * width;
  const y = (v: number) => height - ((v - low) / (high - low)) * height;
  ctx.lineJoin = "round";
  traces.forEach((trace, i) => {
    ctx.strokeStyle = colors[i];
    ctx.lineWidth = 1.6 * ratio;
    const last = drawLine(ctx, trace, from, to, x, y, (a, b) => {
      if (i > 0) return;
      ctx.fillStyle = color("gap");
      ctx.fillRect(a, 0, b - a, height);
    });
    if (!edge || last < 0 || trace.t[last] > to) return;
    ctx.fillStyle = colors[i];
    ctx.beginPath();
    ctx.arc(x(trace.t[last]), y(trace.v[last]), 3 * ratio, 0, 7);
    ctx.fill();
  });
}

// The traces of one sensor, as they are grouped into pictures.
export function bySlot(traces: Iterable<SlotTrace>) {
  const slots = new Map<number, SlotTrace[]>();
  for (const trace of traces) {
    const slot = slots.get(trace.slot);
    if (slot) slot.push(trace);
    else slots.set(trace.slot, [trace]);
  }
  return [...slots.entries()].sort((a, b) => a[0] - b[0]);
}

// What stands over a picture.
export function WaveTitle({ modality, traces, more }: { modality: string; traces: { channel: number }[]; more?: string }) {
  return (
    <figcaption>
      {modalityName(modality)}
      {traces.length > 1 && (
        <span class="wave-legend">
          {traces.map((one) => (
            <span key={one.channel}>
              <span class={`swatch ink-${inkOf(modality, one.channel)}`} /> {channelName(modality, one.channel)}
            </span>
          ))}
        </span>
      )}
      {more && <span class="wave-more">{more}</span>}
    </figcaption>
  );
}

interface Props {
  traces: SlotTrace[];
  modality: string;
  span: [number, number];
}

export function Wave({ traces, modality, span }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const paint = () =>
      canvas.current && drawTraces(canvas.current, { traces, from: span[0], to: span[1], colors: traces.map((one) => color(inkOf(modality, one.channel))) });
    const stop = repaint.subscribe(paint);
    const size = new ResizeObserver(paint);
    if (canvas.current) size.observe(canvas.current);
    return () => {
      stop();
      size.disconnect();
    };
  }, [traces, modality, span[0], span[1]]);
  return <canvas ref={canvas} class="wave" role="img" aria-label={`Waveform of ${modalityName(modality)}`} />;
}
