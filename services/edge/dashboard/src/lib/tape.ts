// What came of an open session in the last seconds, channel by channel, and where in it the
// picture stands. Samples come in bursts; the picture moves with the clock, as far behind the
// newest sample as the bursts need, so that it never has to wait or jump.
import { periodOf, type SlotTrace } from "./raw";

const KEPT_MS = 20000;
const LATE_MS = 1500; // further behind: the device's clock was set back
const SEEN_MS = 6000; // over which the bursts are measured
const FIRST_MS = 400;
const BURST_MOST_MS = 4000; // of more, that came after a silence, the older part is passed over
const ROOM_MS = 80;
const JUMP_MS = 3000; // further away than this the picture does not glide but jumps
const GLIDE = 0.8; // of the distance a second

// Behind the newest, or between others when its frame came late.
function add(into: SlotTrace, t: number, v: number) {
  let at = into.t.length;
  while (at > 0 && into.t[at - 1] > t) at--;
  if (at > 0 && into.t[at - 1] === t) return;
  if (at === into.t.length) {
    into.t.push(t);
    into.v.push(v);
  } else {
    into.t.splice(at, 0, t);
    into.v.splice(at, 0, v);
  }
}

const endOf = (trace: SlotTrace) => trace.t[trace.t.length - 1] ?? -Infinity;

export class Tape {
  readonly traces = new Map<string, SlotTrace>();
  version = 0; // counts up when a channel appears
  private bursts: { at: number; behind: number }[] = [];
  private heard = 0; // our time, when something last came
  private place: number | null = null;
  private drawn = 0;

  get newest() {
    return Math.max(-Infinity, ...[...this.traces.values()].map(endOf));
  }

  take(fresh: SlotTrace[], now: number) {
    if (!fresh.length) return;
    const first = this.traces.size === 0; // all that is kept: no burst
    for (const one of fresh) {
      const key = `${one.slot}.${one.channel}`;
      const old = this.traces.get(key);
      if (!old || endOf(one) < endOf(old) - LATE_MS) {
        this.traces.set(key, one);
        if (!old) this.version++;
        continue;
      }
      for (let i = 0; i < one.t.length; i++) add(old, one.t[i], one.v[i]);
      const cut = old.t.findIndex((t) => t >= endOf(old) - KEPT_MS);
      if (cut > 500) {
        old.t.splice(0, cut);
        old.v.splice(0, cut);
      }
    }
    for (const trace of this.traces.values()) trace.period = periodOf(trace);
    const newest = Math.max(...fresh.map(endOf));
    const oldest = Math.min(...fresh.map((one) => one.t[0]));
    const burst = first ? FIRST_MS : Math.min(newest - oldest, BURST_MOST_MS);
    this.bursts.push({ at: now, behind: now - newest + burst });
    this.bursts = this.bursts.filter((one) => one.at > now - SEEN_MS);
    this.heard = now;
  }

  // Session time at the right edge of the picture; null before anything came.
  at(now: number) {
    if (!this.bursts.length) return null;
    const want = now - Math.max(...this.bursts.map((one) => one.behind)) - ROOM_MS;
    const passed = now - this.drawn;
    this.drawn = now;
    if (this.place === null || Math.abs(want - this.place - passed) > JUMP_MS) return (this.place = want);
    const off = want - (this.place + passed);
    this.place += passed + (Math.abs(off) > 40 ? (off * GLIDE * Math.min(passed, 100)) / 1000 : 0);
    return this.place;
  }

  // How long ago the right edge was sent, by the time the newest sample came; null: silent.
  delay(now: number) {
    if (this.place === null || now - this.heard > JUMP_MS) return null;
    return Math.max(0, this.newest + (now - this.heard) - this.place);
  }
}
