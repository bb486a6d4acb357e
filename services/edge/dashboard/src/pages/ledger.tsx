// What is missing of a session, and how its clocks ran.
import { verdictOf, type SlotClock } from "../lib/clock";
import { clockTime, count, duration, exact, modalityName, plural } from "../lib/format";
import type { Session } from "../lib/types";
import { useGet, type Loaded } from "../lib/use";
import { Absent, Badge, Card, Fault, Rows } from "../ui/basic";
import { Icon } from "../ui/icon";

const AGAIN_MS = 10000; // while the session is open

interface Gap {
  slot_id: number | null;
  modality: string | null;
  cause: string;
  from_t: number | null;
  to_t: number | null;
  missing_ms: number | null;
  frames: number | null;
  intervals: number;
}

interface Ledger {
  received: number;
  stored: number;
  duplicates: number;
  gaps: Gap[];
}

const causes: Record<string, string> = {
  "never-sent": "never sent by the device",
  late: "came after its window was judged; stored",
  rejected: "refused",
  "rate-limited": "over the key's limit",
  "edge-lost": "lost with an edge",
};

const span = (ms: number) => (ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms));
const sensor = (modality: string | null) => (modality ? modalityName(modality) : "any");

export const useLedger = (session: Session | undefined) =>
  useGet<Ledger>(session ? `/v1/sessions/${session.id}/gaps` : null, session?.status === "open" ? AGAIN_MS : 0);

const none: [number, number][] = [];

// Where something is missing, for a chart; a gap without an end is not drawn.
export function gapsOf(ledger: Ledger | undefined) {
  if (!ledger?.gaps.length) return none;
  return ledger.gaps.flatMap(({ cause, from_t, to_t }): [number, number][] => (cause !== "late" && from_t !== null && to_t !== null ? [[from_t, to_t]] : []));
}

export function Gaps({ of, onPick }: { of: Loaded<Ledger>; onPick: (t: number) => void }) {
  const ledger = of.data;
  return (
    <Card title="Gaps" about={ledger ? `${count(ledger.received)} frames received, ${count(ledger.stored)} stored${ledger.duplicates ? `, ${count(ledger.duplicates)} sent twice` : ""}.` : "Every interval that is missing, and why."}>
      {!ledger && of.error?.absent && <Absent what="The gap ledger" />}
      {!ledger && of.error && !of.error.absent && <Fault error={of.error} retry={of.reload} />}
      {!ledger && !of.error && <Rows n={3} />}
      {ledger && !ledger.gaps.length && (
        <p class="all-good">
          <Icon name="check" size={16} /> Nothing is missing.
        </p>
      )}
      {ledger && ledger.gaps.length > 0 && (
        <div class="table-scroll short" role="region" aria-label="Gaps" tabIndex={0}>
          <table class="table cards">
            <thead>
              <tr>
                <th>From</th>
                <th class="num">Missing</th>
                <th>Sensor</th>
                <th>Why</th>
              </tr>
            </thead>
            <tbody>
              {ledger.gaps.map((gap, i) => (
                <tr key={i}>
                  <td class="whole">
                    {gap.from_t !== null ? (
                      <button type="button" class="link" title="Show its waveform" onClick={() => onPick((gap.from_t as number) - 2000)}>
                        {clockTime(gap.from_t)}
                      </button>
                    ) : (
                      "–"
                    )}
                  </td>
                  <td class="num" data-label="Missing">{gap.missing_ms !== null ? span(gap.missing_ms) : gap.frames !== null ? plural(gap.frames, "frame") : "–"}</td>
                  <td data-label="Sensor">{sensor(gap.modality)}</td>
                  <td data-label="Why">
                    {causes[gap.cause] || gap.cause}
                    {gap.intervals > 1 && <span class="muted">, {exact(gap.intervals)} intervals</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

const figure = (value: number | null | undefined, digits: number, unit: string) =>
  value === null || value === undefined ? "–" : `${value.toFixed(digits).replace(/^-0$/, "0")} ${unit}`;

export function Clock({ session }: { session: Session }) {
  const loaded = useGet<{ slots: SlotClock[] }>(`/v1/sessions/${session.id}/clock`, session.status === "open" ? AGAIN_MS : 0);
  const slots = loaded.data?.slots;
  const verdict = slots && verdictOf(slots);
  return (
    <Card title="Clock" about="How the device's clock ran against the server's.">
      {!slots && loaded.error?.absent && <Absent what="Clock health" />}
      {!slots && loaded.error && !loaded.error.absent && <Fault error={loaded.error} retry={loaded.reload} />}
      {!slots && !loaded.error && <Rows n={3} />}
      {slots && !slots.length && <p class="muted">Not enough samples yet.</p>}
      {verdict && (
        <p class="verdict">
          <Badge tone={verdict.good ? "good" : "warn"}>
            <Icon name={verdict.good ? "check" : "alert"} size={12} />
            {verdict.text}
          </Badge>
          {verdict.more}
        </p>
      )}
      {slots && slots.length > 0 && (
        <div class="table-scroll" role="region" aria-label="Clock" tabIndex={0}>
          <table class="table cards">
            <thead>
              <tr>
                <th>Sensor</th>
                <th class="num">Rate</th>
                <th class="num">Offset</th>
                <th class="num">Drift</th>
                <th class="num">Skew</th>
                <th class="num" title="How often the clock was set back">Steps back</th>
              </tr>
            </thead>
            <tbody>
              {slots.map((slot) => (
                <tr key={slot.slot_id}>
                  <td>{sensor(slot.modality)}</td>
                  <td class="num" data-label="Rate" title={`declared: ${slot.declared_hz} Hz`}>
                    {figure(slot.measured_hz, 2, "Hz")}
                  </td>
                  <td class="num" data-label="Offset">{figure(slot.offset_ms, 0, "ms")}</td>
                  <td class="num" data-label="Drift">{figure(slot.drift_ppm, 0, "ppm")}</td>
                  <td class="num" data-label="Skew">{figure(slot.skew_ms, 0, "ms")}</td>
                  <td class="num" data-label="Steps back">{slot.steps_back}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}
