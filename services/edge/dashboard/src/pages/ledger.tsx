// What is missing of a session, and how its clocks ran.
import type { SlotClock } from "../lib/clock";
import { clockTime, count, duration, exact, modalityName } from "../lib/format";
import type { Session } from "../lib/types";
import { useGet } from "../lib/use";
import { Absent, Card, Fault, Rows } from "../ui/basic";

const AGAIN_MS = 10000; // while the session is open

interface Gap {
  slot_id: number | null;
  modality: string | null;
  cause: string;
  from_t: number | string | null;
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

export function Gaps({ session }: { session: Session }) {
  const loaded = useGet<Ledger>(`/v1/sessions/${session.id}/gaps`, session.status === "open" ? AGAIN_MS : 0);
  const ledger = loaded.data;
  return (
    <Card title="Gaps" about={ledger ? `${count(ledger.received)} frames received, ${count(ledger.stored)} stored${ledger.duplicates ? `, ${count(ledger.duplicates)} sent twice` : ""}.` : "Every interval that is missing, and why."}>
      {!ledger && loaded.error?.absent && <Absent what="The gap ledger" />}
      {!ledger && loaded.error && !loaded.error.absent && <Fault error={loaded.error} retry={loaded.reload} />}
      {!ledger && !loaded.error && <Rows n={3} />}
      {ledger && !ledger.gaps.length && <p class="muted">Nothing is missing.</p>}
      {ledger && ledger.gaps.length > 0 && (
        <div class="table-scroll short" role="region" aria-label="Gaps" tabIndex={0}>
          <table class="table">
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
                  <td class="whole">{gap.from_t === null ? "–" : clockTime(gap.from_t)}</td>
                  <td class="num">{gap.missing_ms !== null ? span(gap.missing_ms) : gap.frames !== null ? `${exact(gap.frames)} frames` : "–"}</td>
                  <td class="whole">{sensor(gap.modality)}</td>
                  <td>
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
  value === null || value === undefined ? "–" : `${value.toFixed(digits)} ${unit}`;

export function Clock({ session }: { session: Session }) {
  const loaded = useGet<{ slots: SlotClock[] }>(`/v1/sessions/${session.id}/clock`, session.status === "open" ? AGAIN_MS : 0);
  const slots = loaded.data?.slots;
  return (
    <Card title="Clock" about="How the device's clock ran against the server's.">
      {!slots && loaded.error?.absent && <Absent what="Clock health" />}
      {!slots && loaded.error && !loaded.error.absent && <Fault error={loaded.error} retry={loaded.reload} />}
      {!slots && !loaded.error && <Rows n={3} />}
      {slots && !slots.length && <p class="muted">Not enough samples yet.</p>}
      {slots && slots.length > 0 && (
        <div class="table-scroll" role="region" aria-label="Clock" tabIndex={0}>
          <table class="table">
            <thead>
              <tr>
                <th>Sensor</th>
                <th class="num">Rate</th>
                <th class="num">Offset</th>
                <th class="num">Drift</th>
                <th class="num">Skew</th>
                <th class="num">Steps back</th>
              </tr>
            </thead>
            <tbody>
              {slots.map((slot) => (
                <tr key={slot.slot_id}>
                  <td class="whole">{sensor(slot.modality)}</td>
                  <td class="num" title={`declared: ${slot.declared_hz} Hz`}>
                    {figure(slot.measured_hz, 2, "Hz")}
                  </td>
                  <td class="num">{figure(slot.offset_ms, 0, "ms")}</td>
                  <td class="num">{figure(slot.drift_ppm, 0, "ppm")}</td>
                  <td class="num">{figure(slot.skew_ms, 0, "ms")}</td>
                  <td class="num">{slot.steps_back}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}
