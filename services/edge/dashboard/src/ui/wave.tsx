// The raw waveform: a trace on a canvas, drawn only when there is something new, scaled to what
// it shows. Samples are [t ms, value] in order.
import { useEffect, useRef } from "preact/hooks";
import { modalityName } from "../lib/format";
import { color, repaint } from "../lib/theme";

export interface Trace {
  t: number[];
  v: number[];
}

// "Accelerometer · y"; a sensor of one channel needs no number.
export function traceName(modality: string, channel: number) {
  if (modality === "acc_3axis") return `${modalityName(modality)} · ${"xyz"[channel]}`;
  return channel ? `${modalityName(modality)} · ${channel + 1}` : modalityName(modality);
}

export function drawTrace(canvas: HTMLCanvasElement, trace: Trace, from: number, to: number, ink: string, gapMs: number) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const ctx = canvas.getContext("2d");
  if (!ctx) return;
  ctx.clearRect(0, 0, width, height);
  const { t, v } = trace;
  let first = 0;
  while (first < t.length && t[first] < from) first++;
  let low = Infinity;
  let high = -Infinity;
  for (let i = first; i < t.length && t[i] <= to; i++) {
    low = Math.min(low, v[i]);
    high = Math.max(high, v[i]);
  }
  if (!(high >= low)) return;
  const middle = (low + high) / 2;
  const half = Math.max(1e-9, (high - low) / 2) * 1.12;
  ctx.strokeStyle = ink;
  ctx.lineWidth = 1.6 * ratio;
  ctx.lineJoin = "round";
  ctx.beginPath();
  for (let i = first; i < t.length && t[i] <= to; i++) {
    const x = ((t[i] - from) / (to - from)) * width;
    const y = height / 2 - ((v[i] - middle) / half) * (height / 2);
    if (i === first || t[i] - t[i - 1] > gapMs) ctx.moveTo(x, y);
    else ctx.lineTo(x, y);
  }
  ctx.stroke();
}

interface Props {
  trace: Trace;
  span: [number, number];
  gapMs: number;
  label: string;
  ink?: string; // name of a colour
}

export function Wave({ trace, span, gapMs, label, ink = "hr" }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const paint = () => canvas.current && drawTrace(canvas.current, trace, span[0], span[1], color(ink), gapMs);
    const stop = repaint.subscribe(paint);
    const size = new ResizeObserver(paint);
    if (canvas.current) size.observe(canvas.current);
    return () => {
      stop();
      size.disconnect();
    };
  }, [trace, span[0], span[1], gapMs, ink]);
  return <canvas ref={canvas} class="wave" role="img" aria-label={label} />;
}
