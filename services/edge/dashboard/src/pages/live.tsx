// Live: a tile for every open session. Preact makes the tiles; their numbers and trends are written
// straight into them, once a frame at most, and only where something is new and in sight.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { everyRow, query } from "../lib/api";
import { kindOf, plural, reading } from "../lib/format";
import { listen, liveState } from "../lib/live";
import { go, Link } from "../lib/router";
import { color, repaint } from "../lib/theme";
import type { Insight, Session } from "../lib/types";
import { asError, useTitle } from "../lib/use";
import type { ApiError } from "../lib/api";
import { Badge, Card, Dialog, Empty, Fault, PageHead, Select } from "../ui/basic";
import { Icon } from "../ui/icon";
import { Monitor } from "../ui/monitor";

const TREND_MS = 120_000;
const STALE_MS = 20_000;
const MOST_TILES = 2000;
const RELIST_MS = 8000;
const MOST_RECALLED = 2000;
const WIDE_MOST = 2; // so few are shown with their waveforms

interface Vitals {
  session: Session;
  last: Map<string, Insight>;
  trend: { t: number; v: number; unfit: boolean }[]; // of the heart rate
  at: number; // when something last came, our time
}

interface Tile {
  root: HTMLElement;
  canvas: HTMLCanvasElement;
  values: Map<string, HTMLElement>;
  state: HTMLElement;
  seen: boolean;
}

// Everything that is drawn, outside Preact.
class Wall {
  readonly vitals = new Map<string, Vitals>();
  private readonly tiles = new Map<string, Tile>();
  private readonly dirty = new Set<string>();
  private readonly sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const id = (entry.target as HTMLElement).dataset.session as string;
      const tile = this.tiles.get(id);
      if (!tile) continue;
      tile.seen = entry.isIntersecting;
      if (tile.seen) this.dirty.add(id);
    }
  }, { rootMargin: "200px" });
  private frame = 0;
  private checked = 0;
  private ink = { hr: "", unfit: "", line: "" };
  frames = 0; // drawn so far, for who measures

  start() {
    const stop = repaint.subscribe(() => {
      this.ink = { hr: color("hr"), unfit: color("unfit"), line: color("line") };
      for (const id of this.tiles.keys()) this.dirty.add(id);
    });
    const step = () => {
      this.frame = requestAnimationFrame(step);
      this.draw();
    };
    this.frame = requestAnimationFrame(step);
    return () => {
      stop();
      cancelAnimationFrame(this.frame);
      this.sight.disconnect();
    };
  }

  add(session: Session) {
    const known = this.vitals.get(session.id);
    if (known) known.session = session;
    else this.vitals.set(session.id, { session, last: new Map(), trend: [], at: 0 });
    return !known;
  }

  remove(id: string) {
    this.vitals.delete(id);
  }

  // What came before this page was opened, oldest first.
  recall(rows: Insight[]) {
    for (const row of rows) {
      const vitals = this.vitals.get(row.session_id);
      if (!vitals) continue;
      const last = vitals.last.get(row.type);
      if (last && last.t >= row.t) continue;
      this.hear(row);
      vitals.at = row.ts;
    }
  }

  hear(insight: Insight) {
    const vitals = this.vitals.get(insight.session_id);
    if (!vitals) return false;
    vitals.last.set(insight.type, insight);
    vitals.at = Date.now();
    if (insight.type === "hr") {
      vitals.trend.push({ t: insight.t, v: insight.value, unfit: insight.sqi_class === "unfit" });
      while (vitals.trend.length && vitals.trend[0].t < insight.t - TREND_MS) vitals.trend.shift();
    }
    this.dirty.add(insight.session_id);
    return true;
  }

  mount(id: string, root: HTMLElement | null) {
    const old = this.tiles.get(id);
    if (old?.root === root) return;
    if (old) this.sight.unobserve(old.root);
    this.tiles.delete(id);
    if (!root) return;
    const values = new Map<string, HTMLElement>();
    for (const node of root.querySelectorAll<HTMLElement>("[data-type]")) values.set(node.dataset.type as string, node);
    this.tiles.set(id, {
      root,
      canvas: root.querySelector("canvas") as HTMLCanvasElement,
      values,
      state: root.querySelector("[data-state]") as HTMLElement,
      seen: false,
    });
    this.sight.observe(root);
  }

  private draw() {
    this.frames++;
    const now = Date.now();
    if (now - this.checked > 2000) {
      this.checked = now;
      for (const [id, vitals] of this.vitals) if (vitals.at && now - vitals.at > STALE_MS) this.dirty.add(id);
    }
    for (const id of this.dirty) {
      const tile = this.tiles.get(id);
      const vitals = this.vitals.get(id);
      if (!tile || !vitals) this.dirty.delete(id);
      else if (tile.seen) {
        this.dirty.delete(id);
        write(tile, vitals, now);
        trend(tile.canvas, vitals.trend, this.ink);
      }
    }
  }
}

const say = (node: HTMLElement, text: string) => {
  if (node.textContent !== text) node.textContent = text;
};

function write(tile: Tile, vitals: Vitals, now: number) {
  for (const [type, node] of tile.values) {
    const last = vitals.last.get(type);
    say(node, last ? reading(type, last.value) : "--");
    if (last) node.parentElement?.removeAttribute("data-none");
  }
  const hr = vitals.last.get("hr");
  const stale = vitals.at > 0 && now - vitals.at > STALE_MS;
  const quality = stale ? "stale" : hr ? hr.sqi_class : "waiting";
  if (tile.root.dataset.quality !== quality) tile.root.dataset.quality = quality;
  say(tile.state, stale ? `silent ${Math.round((now - vitals.at) / 1000)} s` : hr ? hr.sqi_class : "waiting");
}

function trend(canvas: HTMLCanvasElement, points: Vitals["trend"], ink: { hr: string; unfit: string; line: string }) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width) return;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const ctx = canvas.getContext("2d");
  if (!ctx) return;
  ctx.clearRect(0, 0, width, height);
  if (points.length < 2) return;
  const end = points[points.length - 1].t;
  let low = Infinity;
  let high = -Infinity;
  for (const point of points) {
    low = Math.min(low, point.v);
    high = Math.max(high, point.v);
  }
  const room = Math.max(6, (high - low) / 2 + 2);
  const middle = (low + high) / 2;
  const x = (t: number) => width - 2 * ratio - ((end - t) / TREND_MS) * (width - 4 * ratio);
  const y = (v: number) => height / 2 - ((v - middle) / room) * (height / 2 - 2 * ratio);
  ctx.lineWidth = 1.5 * ratio;
  ctx.lineJoin = ctx.lineCap = "round";
  for (const unfit of [true, false]) {
    ctx.strokeStyle = unfit ? ink.unfit : ink.hr;
    ctx.beginPath();
    for (let i = 1; i < points.length; i++) {
      if (points[i].unfit !== unfit || points[i].t - points[i - 1].t > STALE_MS) continue;
      ctx.moveTo(x(points[i - 1].t), y(points[i - 1].v));
      ctx.lineTo(x(points[i].t), y(points[i].v));
    }
    ctx.stroke();
  }
}

type Sort = "device" | "quality" | "hr" | "newest";
const sorts: [Sort, string][] = [
  ["device", "By device"],
  ["quality", "Lowest quality first"],
  ["hr", "Highest heart rate first"],
  ["newest", "Newest first"],
];

function sorted(all: Vitals[], by: Sort) {
  const hr = (one: Vitals) => one.last.get("hr");
  const compare: Record<Sort, (a: Vitals, b: Vitals) => number> = {
    device: (a, b) => a.session.device_id.localeCompare(b.session.device_id, undefined, { numeric: true }),
    quality: (a, b) => (hr(a)?.confidence ?? 2) - (hr(b)?.confidence ?? 2),
    hr: (a, b) => (hr(b)?.value ?? 0) - (hr(a)?.value ?? 0),
    newest: (a, b) => b.session.started_at.localeCompare(a.session.started_at),
  };
  return all.sort(compare[by]);
}

export function LivePage() {
  useTitle("Live");
  const wall = useRef<Wall>(undefined as unknown as Wall);
  wall.current ??= new Wall();
  const [version, setVersion] = useState(0); // of the set of sessions
  const [error, setError] = useState<ApiError | null>(null);
  const [listed, setListed] = useState(false);
  const [by, setBy] = useState<Sort>("device");
  const [find, setFind] = useState("");
  const [open, setOpen] = useState<Session | null>(null);

  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    let hurried = 0;
    let recalled = false;
    const list = async () => {
      clearTimeout(timer);
      try {
        const { rows } = await everyRow<Session>("/v1/sessions?status=open&limit=200", MOST_TILES, abort.signal);
        const ids = new Set(rows.map((row) => row.id));
        let changed = false;
        for (const row of rows) changed = wall.current.add(row) || changed;
        for (const id of [...wall.current.vitals.keys()])
          if (!ids.has(id)) {
            wall.current.remove(id);
            changed = true;
          }
        if (changed) setVersion((n) => n + 1);
        setError(null);
        setListed(true);
        if (!recalled) {
          recalled = true;
          const path = `/v1/insights${query({ from: Date.now() - TREND_MS, limit: 200 })}`;
          const past = await everyRow<Insight>(path, MOST_RECALLED, abort.signal);
          wall.current.recall(past.rows.reverse());
        }
      } catch (cause) {
        if (abort.signal.aborted) return;
        setError(asError(cause));
      }
      timer = window.setTimeout(list, RELIST_MS);
    };
    const stop = listen((insight) => {
      // Somebody whom the list has not got yet: it is asked again, once a second at most.
      if (!wall.current.hear(insight) && Date.now() - hurried > 1000) {
        hurried = Date.now();
        list();
      }
    });
    const halt = wall.current.start();
    list();
    return () => {
      abort.abort();
      clearTimeout(timer);
      stop();
      halt();
    };
  }, []);

  const shown = useMemo(() => {
    const want = find.trim().toLowerCase();
    const all = [...wall.current.vitals.values()].filter((one) => one.session.device_id.toLowerCase().includes(want));
    return sorted(all, by).map((one) => one.session);
  }, [version, by, find]);
  const total = wall.current.vitals.size;

  return (
    <>
      <PageHead title={<>Live <LiveBadge /></>} about={total ? `${plural(total, "open session")}; the trend is of the last two minutes.` : "Every open session, as it happens."}>
        {total > WIDE_MOST && (
          <>
            <div class="search">
              <Icon name="search" size={16} />
              <input class="input" type="search" aria-label="Find a device" placeholder="Find a device" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
            </div>
            <Select bare label="Order" value={by} onChange={(value) => setBy(value as Sort)} options={sorts} />
          </>
        )}
      </PageHead>
      {error && error.status > 0 && <Fault error={error} />}
      {!listed && !error && <TilesToCome />}
      {listed && total === 0 && (
        <Card>
          <Empty icon="live" title="Nobody is streaming" action={<Link class="button primary" href="/quickstart">Simulate a watch</Link>}>
            A tile appears here within a second of a device's first insight.
          </Empty>
        </Card>
      )}
      <ul class="wall" data-tiles={shown.length}>
        {shown.map((session) => (
          <TileView key={session.id} session={session} wall={wall.current} wide={total <= WIDE_MOST} onOpen={setOpen} />
        ))}
      </ul>
      {open && (
        <Dialog title={open.device_id} onClose={() => setOpen(null)} wide>
          <Monitor session={open} />
          <div class="dialog-foot">
            <Link class="button primary" href={`/sessions/${open.id}`}>
              Open the session
            </Link>
          </div>
        </Dialog>
      )}
    </>
  );
}

// So that the first list does not come into an empty page.
const TilesToCome = () => (
  <div class="wall" aria-hidden="true">
    <div class="tile bone-tile bone" />
  </div>
);

function LiveBadge() {
  const state = liveState.value;
  return state === "live" ? (
    <Badge tone="good" dot>
      connected
    </Badge>
  ) : state === "away" ? (
    <Badge tone="warn">reconnecting</Badge>
  ) : (
    <Badge>connecting</Badge>
  );
}

function TileView({ session, wall, wide, onOpen }: { session: Session; wall: Wall; wide: boolean; onOpen: (session: Session) => void }) {
  const mount = useMemo(() => (root: HTMLElement | null) => wall.mount(session.id, root), [session.id, wall]);
  return (
    <li class={wide ? "tile wide" : "tile"} data-session={session.id} data-quality="waiting" ref={mount}>
      <button type="button" onClick={() => (wide ? go(`/sessions/${session.id}`) : onOpen(session))}>
        <span class="tile-head">
          <span class="tile-name">{session.device_id}</span>
          <span class="tile-state" data-state="">
            waiting
          </span>
        </span>
        <span class="tile-main">
          <span class="tile-hr">
            <span data-type="hr">--</span>
            <span class="unit">{kindOf("hr").unit}</span>
          </span>
          <span class="tile-side">
            <span class="tile-spo2" data-none="">
              <span data-type="spo2">--</span>
              <span class="unit">%</span>
            </span>
            <span class="tile-rr" data-none="">
              <span data-type="rr">--</span>
              <span class="unit">brpm</span>
            </span>
          </span>
        </span>
        <canvas aria-hidden="true" />
      </button>
      {wide && <Monitor session={session} />}
    </li>
  );
}
