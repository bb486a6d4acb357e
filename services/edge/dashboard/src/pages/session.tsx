// One session: its insights as charts, its waveform, what is missing, its clock, how it ended.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ApiError } from "../lib/api";
import { bytes, clockTime, closeMeaning, count, fullTime, kindOf, reading } from "../lib/format";
import { useInsights, type SessionInsights } from "../lib/insights";
import { rawSamples, type SlotTrace } from "../lib/raw";
import { Link } from "../lib/router";
import type { DeviceModel, Insight, Session } from "../lib/types";
import { asError, now, useGet, useTitle } from "../lib/use";
import { Absent, Badge, Button, Card, Fault, Id, Loading, NotFound, PageHead, Quality, Rows, Tabs, Time } from "../ui/basic";
import { InsightChart } from "../ui/chart";
import { Icon } from "../ui/icon";
import { Monitor } from "../ui/monitor";
import { bySlot, Wave, WaveTitle } from "../ui/wave";
import { Clock, Gaps, gapsOf, useLedger } from "./ledger";
import { lasted, Status } from "./sessions";

const order = ["hr", "spo2", "rr", "hrv_rmssd", "hrv_sdnn", "motion"];

export function SessionPage({ id }: { id: string }) {
  const loaded = useGet<Session>(`/v1/sessions/${encodeURIComponent(id)}`, 5000);
  const session = loaded.data;
  const open = session?.status === "open";
  const model = useGet<DeviceModel>(session ? `/v1/device-models/${session.device_model_id}` : null);
  const insights = useInsights(session ? session.id : null, open);
  const ledger = useLedger(session);
  const gaps = useMemo(() => gapsOf(ledger.data), [ledger.data]);
  const [at, setAt] = useState<number | null>(null); // the moment whose waveform is shown
  const wave = useRef<HTMLDivElement>(null);
  const pick = (t: number) => {
    setAt(t);
    wave.current?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  };
  useTitle(session ? `Session of ${session.device_id}` : "Session");
  if (loaded.error && !session)
    return [400, 404].includes(loaded.error.status) ? <NotFound what="session" back={{ href: "/sessions", label: "All sessions" }} /> : <Fault error={loaded.error} retry={loaded.reload} />;
  if (!session) return <Loading back={{ href: "/sessions", label: "Sessions" }} />;
  return (
    <>
      <PageHead
        title={
          <>
            {session.device_id} <Status of={session} />
          </>
        }
        back={{ href: "/sessions", label: "Sessions" }}
        about={
          <>
            Started <Time at={session.started_at} />, {open ? "streaming for" : "lasted"} {lasted(session, now.value)}
          </>
        }
      >
        <Exports id={session.id} wide={Boolean(model.data?.modality_channels.some((one) => one.bit_depth > 16))} />
      </PageHead>
      <Latest byType={insights.byType} open={open} model={model.data} />
      <Charts of={insights} session={session} gaps={gaps} onPick={pick} />
      <div ref={wave}>
        {open && at === null ? (
          <Card title="Waveform" about="The raw samples, as they come.">
            <Monitor session={session} />
          </Card>
        ) : (
          <StoredWave session={session} model={model.data} from={at ?? firstOf(insights, session)} onMove={setAt} onLive={open ? () => setAt(null) : undefined} />
        )}
      </div>
      <div class="columns">
        <Details session={session} model={model.data} />
        <Ending session={session} />
      </div>
      <div class="columns">
        <Gaps of={ledger} onPick={pick} />
        <Clock session={session} />
      </div>
    </>
  );
}

const firstOf = (insights: SessionInsights, session: Session) => insights.byType.get("hr")?.[0]?.t ?? new Date(session.started_at).getTime();

// wide: with samples of more bits than EDF has room for.
function Exports({ id, wide }: { id: string; wide: boolean }) {
  const links: [string, string, string][] = [
    [`/v1/sessions/${id}/insights?format=csv`, `insights-${id}.csv`, "Insights CSV"],
    [`/v1/sessions/${id}/frames?format=csv`, `samples-${id}.csv`, "Samples CSV"],
    wide
      ? [`/v1/sessions/${id}/frames?format=bdf`, `samples-${id}.bdf`, "Samples BDF"]
      : [`/v1/sessions/${id}/frames?format=edf`, `samples-${id}.edf`, "Samples EDF"],
  ];
  return (
    <>
      {links.map(([href, name, text]) => (
        <a key={href} class="button plain" href={href} download={name}>
          <Icon name="download" size={16} /> <span>{text}</span>
        </a>
      ))}
    </>
  );
}

function Latest({ byType, open, model }: { byType: Map<string, Insight[]>; open: boolean; model?: DeviceModel }) {
  const has = (modality: string) => model?.modality_channels.some((one) => one.modality === modality);
  const blind = model && !(has("ppg_red") && has("ppg_ir"));
  return (
    <div class="vitals">
      {["hr", "spo2", "rr"].map((type) => {
        const rows = byType.get(type);
        const last = rows?.[rows.length - 1];
        const kind = kindOf(type);
        return (
          <section key={type} class={`card vital ${type}${!last || last.sqi_class === "unfit" ? " unfit" : ""}`}>
            <h2>{kind.name}</h2>
            <p class="vital-value">
              {last ? reading(type, last.value) : "--"}
              <span class="unit">{kind.unit}</span>
            </p>
            <p class="vital-foot">
              {last ? (
                <>
                  <Quality of={last.sqi_class} /> <span class="muted">confidence {last.confidence.toFixed(2)}</span>
                </>
              ) : (
                <span class="muted">{type === "spo2" && blind ? "needs red and infrared light" : open ? "waiting for signal" : "no value"}</span>
              )}
            </p>
          </section>
        );
      })}
    </div>
  );
}

const ranges: [string, number][] = [
  ["5 min", 300_000],
  ["1 h", 3600_000],
  ["6 h", 6 * 3600_000],
  ["All", Infinity],
];

// From the first value to the last, or the last so many ms of that.
function spanOf(byType: Map<string, Insight[]>, range: number): [number, number] {
  let [from, to] = [Infinity, -Infinity];
  for (const rows of byType.values()) {
    from = Math.min(from, rows[0].t);
    to = Math.max(to, rows[rows.length - 1].t);
  }
  if (range < to - from) return [to - range, to];
  return to - from < 30000 ? [from - 5000, from + 30000] : [from, to];
}

function Charts({ of, session, gaps, onPick }: { of: ReturnType<typeof useInsights>; session: Session; gaps: [number, number][]; onPick: (t: number) => void }) {
  const [range, setRange] = useState("All");
  const types = [...of.byType.keys()].sort((a, b) => (order.indexOf(a) + 99) % 99 - (order.indexOf(b) + 99) % 99);
  const [from, to] = useMemo(() => spanOf(of.byType, Infinity), [of.byType]);
  const choices = ranges.filter(([, ms]) => ms === Infinity || ms < to - from);
  const span = useMemo(() => spanOf(of.byType, ranges.find(([name]) => name === range)?.[1] ?? Infinity), [of.byType, range]);
  if (of.error) return <Fault error={of.error} />;
  if (!of.whole && !types.length) return <Card title="Insights"><Rows n={8} /></Card>;
  return (
    <Card
      title="Insights"
      about={
        <>
          Shade: confidence. Grey: unfit, not to be relied on.{gaps.length > 0 && <> <span class="gap-mark" /> Missing samples.</>} Click a moment for its waveform, drag to zoom, double-click to see all.
          {of.thinned && " Of very many values the lowest and highest of each few are drawn."}
        </>
      }
      actions={choices.length > 1 && <Tabs label="Time shown" tabs={choices.map(([name]) => [name, name])} at={range} onPick={setRange} />}
    >
      {!of.whole && (
        <p class="muted loading-more" role="status">
          Loading, up to {types.length ? fullTime(to) : "now"}…
        </p>
      )}
      {types.length ? (
        types.map((type) => <InsightChart key={`${type} ${range}`} type={type} rows={of.byType.get(type) as Insight[]} span={span} gaps={gaps} onPick={onPick} />)
      ) : (
        <p class="no-rows muted">{session.status === "open" ? "The first heart rate comes within ten seconds of signal." : "This session was too short, or had no signal that gives insights."}</p>
      )}
      {types.length > 0 && <AsTable byType={of.byType} types={types} />}
    </Card>
  );
}

// The same for who cannot see the charts, or wants the figures.
function AsTable({ byType, types }: { byType: Map<string, Insight[]>; types: string[] }) {
  const [open, setOpen] = useState(false);
  const rows = open ? types.flatMap((type) => (byType.get(type) || []).slice(-100)).sort((a, b) => b.t - a.t).slice(0, 100) : [];
  return (
    <details class="fold" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The newest 100 as a table</summary>
      <div class="table-scroll short" role="region" aria-label="Insights of the session" tabIndex={0}>
        <table class="table">
          <thead>
            <tr>
              <th>Session time</th>
              <th>Kind</th>
              <th class="num">Value</th>
              <th class="num">Confidence</th>
              <th>Quality</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.id}>
                <td>{clockTime(row.t)}</td>
                <td>{kindOf(row.type).name}</td>
                <td class="num">
                  {reading(row.type, row.value)} {row.unit}
                </td>
                <td class="num">{row.confidence.toFixed(2)}</td>
                <td>{row.sqi_class}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

const WINDOW_MS = 10000;

interface StoredWaveProps {
  session: Session;
  model?: DeviceModel;
  from: number;
  onMove: (to: number) => void;
  onLive?: () => void; // back to what comes now
}

function StoredWave({ session, model, from, onMove, onLive }: StoredWaveProps) {
  const [shown, setShown] = useState<{ from: number; traces: SlotTrace[] } | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    rawSamples(session.id, from, from + WINDOW_MS, abort.signal).then(
      (traces) => {
        setShown({ from, traces });
        setError(null);
      },
      (cause) => !abort.signal.aborted && setError(asError(cause)),
    );
    return () => abort.abort();
  }, [session.id, from]);
  const rate = (slot: number) => {
    const channel = model?.modality_channels[slot];
    return channel && `${+channel.sample_rate_hz.toFixed(2)} Hz`;
  };
  return (
    <Card
      title="Waveform"
      about={`Raw samples, ten seconds from ${fullTime(from)}`}
      actions={
        <>
          {onLive && (
            <Button small icon="live" onClick={onLive}>
              Back to live
            </Button>
          )}
          <Button small icon="left" onClick={() => onMove(from - WINDOW_MS)}>
            Earlier
          </Button>
          <Button small onClick={() => onMove(from + WINDOW_MS)}>
            Later
          </Button>
        </>
      }
    >
      {error ? (
        error.absent ? <Absent what="The raw waveform" /> : <Fault error={error} />
      ) : shown === null ? (
        <div class="wave bone-wave" role="img" aria-label="Loading" />
      ) : shown.traces.length === 0 && shown.from === from ? (
        <p class="no-rows muted">No samples in these ten seconds.</p>
      ) : (
        <div class={`monitor${shown.from === from ? "" : " busy"}`}>
          {bySlot(shown.traces).map(([slot, traces]) => (
            <figure key={slot}>
              <WaveTitle modality={traces[0].name} traces={traces} more={rate(slot)} />
              <Wave traces={traces} modality={traces[0].name} span={[shown.from, shown.from + WINDOW_MS]} />
            </figure>
          ))}
        </div>
      )}
    </Card>
  );
}

function Details({ session, model }: { session: Session; model?: DeviceModel }) {
  return (
    <Card title="Details">
      <dl class="facts">
        <dt>Session id</dt>
        <dd>
          <Id value={session.id} label="session id" short />
        </dd>
        <dt>Device</dt>
        <dd>
          <Link href={`/devices/${encodeURIComponent(session.device_id)}`}>{session.device_id}</Link>
        </dd>
        <dt>Device type</dt>
        <dd>
          <Link href={`/devices/types/${session.device_model_id}`}>{model?.name || session.device_model_id.slice(0, 8)}</Link>
        </dd>
        <dt>Started</dt>
        <dd>
          <Time at={session.started_at} relative={false} />
        </dd>
        <dt>Ended</dt>
        <dd>{session.ended_at ? <Time at={session.ended_at} relative={false} /> : "still open"}</dd>
        <dt>Frames stored</dt>
        <dd>{session.frames === undefined ? "–" : count(session.frames)}</dd>
        <dt>Samples stored</dt>
        <dd>{session.bytes === undefined ? "–" : bytes(session.bytes)}</dd>
      </dl>
    </Card>
  );
}

function Ending({ session }: { session: Session }) {
  const meaning = closeMeaning(session.close_code, session.close_reason);
  return (
    <Card title="How it ended">
      {session.status === "open" ? (
        <p class="muted">It is still open. The close code will say why it ended.</p>
      ) : meaning ? (
        <>
          <p class="big-fact">
            <Badge tone={meaning.code === 1000 ? "good" : meaning.code >= 4000 || meaning.code === 1007 ? "bad" : "warn"}>{meaning.code}</Badge> {meaning.title}
          </p>
          <p>{meaning.text}</p>
          {session.close_reason && <p class="muted">The server said: “{session.close_reason}”</p>}
        </>
      ) : (
        <p class="muted">No close code is known.</p>
      )}
    </Card>
  );
}
