// Insights over time: the value as a line, how sure it is as the shade behind it, unfit in grey.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clockTime, dayTime, kindOf, reading } from "../lib/format";
import { color, colorOf, repaint } from "../lib/theme";
import type { Insight } from "../lib/types";

const HEIGHT = 170; // as .chart-box has it
const GAP_MS = 20000; // a line is not drawn across a longer silence

const GAP_PX = 4; // how tall the mark of a gap is, at the foot
const CLICK_PX = 4; // less than this is no drag

interface Held {
  rows: Insight[];
  span?: [number, number];
  gaps: [number, number][];
  onPick?: (t: number) => void;
}

interface Look {
  type: string;
  ink: string;
  grey: string;
}

// The rows between two times, and one more on either side.
function within(rows: Insight[], from: number, to: number) {
  const first = (t: number) => {
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].t < t) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return [Math.max(0, first(from) - 1), Math.min(rows.length, first(to) + 1)];
}

function drawEach(plot: uPlot, rows: Insight[], look: Look, ratio: number) {
  const { ctx, bbox } = plot;
  const x = (i: number) => plot.valToPos(rows[i].t / 1000, "x", true);
  const y = (i: number) => plot.valToPos(rows[i].value, "y", true);
  for (let i = 0; i < rows.length; i++) {
    const joined = i > 0 && rows[i].t - rows[i - 1].t < GAP_MS;
    const unfit = rows[i].sqi_class === "unfit";
    ctx.fillStyle = ctx.strokeStyle = unfit ? look.grey : look.ink;
    if (joined) {
      const left = x(i - 1);
      const right = x(i);
      const edge = Math.round(left); // whole pixels: no seam between two shades
      ctx.globalAlpha = unfit ? 0.07 : 0.2 * rows[i].confidence ** 2;
      ctx.fillRect(edge, bbox.top, Math.round(right) - edge, bbox.height);
      ctx.globalAlpha = unfit ? 0.7 : 1;
      ctx.beginPath();
      ctx.moveTo(left, y(i - 1));
      ctx.lineTo(right, y(i));
      ctx.stroke();
    } else {
      ctx.globalAlpha = 1;
      ctx.beginPath();
      ctx.arc(x(i), y(i), 2 * ratio, 0, 7);
      ctx.fill();
    }
  }
}

// Many to a pixel: a bar from the lowest to the highest, shaded by what most of them are.
function drawColumns(plot: uPlot, rows: Insight[], look: Look, ratio: number) {
  const { ctx, bbox } = plot;
  const step = Math.max(1, Math.round(ratio));
  const columnOf = (row: Insight) => Math.floor((plot.valToPos(row.t / 1000, "x", true) - bbox.left) / step);
  let before: { at: number; y: number } | null = null;
  for (let i = 0; i < rows.length; ) {
    const at = columnOf(rows[i]);
    let [low, high, sure, unfit, n] = [Infinity, -Infinity, 0, 0, 0];
    for (; i < rows.length && columnOf(rows[i]) === at; i++, n++) {
      low = Math.min(low, rows[i].value);
      high = Math.max(high, rows[i].value);
      sure += rows[i].confidence;
      if (rows[i].sqi_class === "unfit") unfit++;
    }
    const left = bbox.left + at * step;
    const grey = unfit > n / 2;
    ctx.fillStyle = grey ? look.grey : look.ink;
    ctx.globalAlpha = grey ? 0.07 : 0.2 * (sure / n) ** 2;
    ctx.fillRect(left, bbox.top, step, bbox.height);
    ctx.globalAlpha = grey ? 0.55 : 1;
    const top = plot.valToPos(high, "y", true);
    const bottom = plot.valToPos(low, "y", true);
    const joined: boolean = before !== null && before.at === at - 1;
    const from = joined && before ? Math.min(top, before.y) : top;
    ctx.fillRect(left, from, step, Math.max(1.75 * ratio, (joined && before ? Math.max(bottom, before.y) : bottom) - from));
    before = { at, y: (top + bottom) / 2 };
  }
}

function drawGaps(plot: uPlot, gaps: [number, number][]) {
  const { ctx, bbox } = plot;
  const tall = GAP_PX * (devicePixelRatio || 1);
  ctx.globalAlpha = 1;
  ctx.fillStyle = color("bad");
  for (const [from, to] of gaps) {
    const left = plot.valToPos(from / 1000, "x", true);
    const right = plot.valToPos(to / 1000, "x", true);
    if (right > bbox.left && left < bbox.left + bbox.width) ctx.fillRect(left, bbox.top + bbox.height - tall, Math.max(1, right - left), tall);
  }
}

function drawInsights(plot: uPlot, { rows, gaps }: Held, look: Look) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  const { min, max } = plot.scales.x;
  const [first, last] = within(rows, (min ?? 0) * 1000, (max ?? 0) * 1000);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.75 * ratio;
  ctx.lineJoin = ctx.lineCap = "round";
  const draw = last - first > bbox.width / ratio ? drawColumns : drawEach;
  draw(plot, rows.slice(first, last), look, ratio);
  drawGaps(plot, gaps);
  ctx.restore();
}

function range(rows: Insight[], type: string): [number, number] {
  let [low, high] = kindOf(type).range;
  for (const row of rows) {
    low = Math.min(low, row.value - 2);
    high = Math.max(high, row.value + 2);
  }
  return [low, type === "spo2" ? Math.min(high, 101) : high];
}

interface Props {
  type: string;
  rows: Insight[];
  span?: [number, number]; // ms; so that charts one above the other agree
  gaps?: [number, number][]; // ms; where samples are missing
  onPick?: (t: number) => void; // a moment was clicked
}

const noGaps: [number, number][] = [];

export function InsightChart({ type, rows, span, gaps = noGaps, onPick }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const plot = useRef<uPlot | null>(null);
  const held = useRef<Held>({ rows, span, gaps, onPick });
  held.current = { rows, span, gaps, onPick };
  const shown = useRef<[number, number] | null>(null); // unless somebody has zoomed

  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const look: Look = { type, ink: "", grey: "" };
    const paint = () => {
      look.ink = colorOf(type);
      look.grey = color("unfit");
    };
    paint();
    const axis = {
      stroke: () => color("muted"),
      grid: { stroke: () => color("line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const chart = new uPlot(
      {
        width: Math.max(200, host.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: {
          sync: { key: "session" },
          drag: { x: true, y: false },
          points: { size: 7, fill: () => look.ink, stroke: () => color("surface") },
          y: false,
        },
        scales: {
          x: {
            time: true,
            range: (_, min, max) => (min === max ? [min - 5, max + 5] : [min, max]),
          },
          y: { range: () => range(held.current.rows, type) },
        },
        series: [{}, { paths: () => null, points: { show: false } }],
        axes: [{ ...axis, size: 30, space: 90, values: (_, at, _axis, _space, step) => at.map((s) => (step < 60 ? clockTime(s * 1000) : dayTime(s * 1000))) }, { ...axis, size: 44, space: 36 }],
        hooks: {
          draw: [(self) => drawInsights(self, held.current, look)],
          setCursor: [
            (self) => {
              const row = self.cursor.idx == null ? undefined : held.current.rows[self.cursor.idx];
              if (readout.current) readout.current.textContent = row ? words(row) : "";
            },
          ],
        },
      },
      [[], []],
      host,
    );
    plot.current = chart;
    let pressed = 0;
    chart.over.addEventListener("mousedown", (event) => (pressed = event.clientX));
    chart.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - pressed) < CLICK_PX) held.current.onPick?.(chart.posToVal(event.offsetX, "x") * 1000);
    });
    chart.over.addEventListener("dblclick", () => showAll(chart));
    const size = new ResizeObserver(() => {
      if (host.clientWidth) chart.setSize({ width: host.clientWidth, height: HEIGHT });
    });
    size.observe(host);
    const stop = repaint.subscribe(() => {
      paint();
      chart.redraw(false, true);
    });
    return () => {
      stop();
      size.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [type]);

  // What is shown follows the session, but for who has zoomed into it.
  const showAll = (chart: uPlot) => {
    const { rows: all, span: wide } = held.current;
    const ends = wide || [all[0]?.t ?? 0, all[all.length - 1]?.t ?? 0];
    shown.current = [ends[0] / 1000, ends[1] / 1000];
    chart.setScale("x", { min: shown.current[0], max: shown.current[1] });
  };
  useEffect(() => {
    const chart = plot.current;
    if (!chart) return;
    const { min, max } = chart.scales.x;
    const zoomed = shown.current !== null && (min !== shown.current[0] || max !== shown.current[1]);
    chart.setData([rows.map((row) => row.t / 1000), rows.map((row) => row.value)], false);
    if (zoomed) chart.redraw();
    else showAll(chart);
  }, [rows, gaps, span?.[0], span?.[1], type]);

  const kind = kindOf(type);
  return (
    <figure class="chart">
      <figcaption>
        <span class={`swatch ${type}`} /> {kind.name} <span class="muted">{kind.unit}</span>
        <span class="readout" ref={readout} />
      </figcaption>
      <div ref={box} class="chart-box" role="img" aria-label={summary(type, rows)} />
    </figure>
  );
}

const words = (row: Insight) =>
  `${reading(row.type, row.value)} ${row.unit} · confidence ${row.confidence.toFixed(2)} · ${row.sqi_class} · ${clockTime(row.t)}`;

function summary(type: string, rows: Insight[]) {
  if (!rows.length) return `${kindOf(type).name}: no values yet`;
  const [low, high] = rows.reduce(([a, b], { value }) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  return `${kindOf(type).name}: ${rows.length} values between ${reading(type, low)} and ${reading(type, high)} ${kindOf(type).unit}, last ${reading(type, rows[rows.length - 1].value)}`;
}

// Use over time as small bars; it says its numbers too.
export function Bars({ values, label, tall }: { values: number[]; label: string; tall?: boolean }) {
  const most = Math.max(1, ...values);
  const width = 100 / Math.max(1, values.length);
  return (
    <svg class={tall ? "bars tall" : "bars"} viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="base" d="M0 23.500H100" />
      {values.map((value, i) =>
        value > 0 ? (
          <rect key={i} x={i * width + width * 0.12} width={width * 0.76} y={23.5 - Math.max(1, (value / most) * 22)} height={Math.max(1, (value / most) * 22)} />
        ) : null,
      )}
    </svg>
  );
}
