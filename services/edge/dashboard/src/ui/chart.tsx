// Insights over time: the value as a line, how sure it is as the shade behind it, unfit in grey.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clockTime, dayTime, kindOf, reading } from "../lib/format";
import { color, colorOf, repaint } from "../lib/theme";
import type { Insight } from "../lib/types";

const HEIGHT = 170; // as .chart-box has it
const GAP_MS = 20000; // a line is not drawn across a longer silence

interface Look {
  type: string;
  ink: string;
  grey: string;
}

function drawInsights(plot: uPlot, rows: Insight[], look: Look) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  const x = (i: number) => plot.valToPos(rows[i].t / 1000, "x", true);
  const y = (i: number) => plot.valToPos(rows[i].value, "y", true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.75 * ratio;
  ctx.lineJoin = ctx.lineCap = "round";
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
}

export function InsightChart({ type, rows, span }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const plot = useRef<uPlot | null>(null);
  const held = useRef({ rows, span });
  held.current = { rows, span };

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
            range: (self, min, max) => {
              const times = self.data[0];
              const whole = min === times[0] && max === times[times.length - 1]; // not zoomed
              const wide = held.current.span;
              if (whole && wide) return [wide[0] / 1000, wide[1] / 1000];
              return min === max ? [min - 5, max + 5] : [min, max];
            },
          },
          y: { range: () => range(held.current.rows, type) },
        },
        series: [{}, { paths: () => null, points: { show: false } }],
        axes: [{ ...axis, size: 30, space: 90, values: (_, at, _axis, _space, step) => at.map((s) => (step < 60 ? clockTime(s * 1000) : dayTime(s * 1000))) }, { ...axis, size: 44, space: 36 }],
        hooks: {
          draw: [(self) => drawInsights(self, held.current.rows, look)],
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

  useEffect(() => {
    plot.current?.setData([rows.map((row) => row.t / 1000), rows.map((row) => row.value)]);
  }, [rows, span?.[0], span?.[1], type]);

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
  const values = rows.map((row) => row.value);
  const low = reading(type, Math.min(...values));
  const high = reading(type, Math.max(...values));
  return `${kindOf(type).name}: ${rows.length} values between ${low} and ${high} ${kindOf(type).unit}, last ${reading(type, values[values.length - 1])}`;
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
