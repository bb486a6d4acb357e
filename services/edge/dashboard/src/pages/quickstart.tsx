// Quickstart: three steps that tick themselves off as they happen.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { reading } from "../lib/format";
import { listen } from "../lib/live";
import { Link } from "../lib/router";
import { color } from "../lib/theme";
import type { DeviceModel, Insight, Key, Session } from "../lib/types";
import { useGet, useTitle } from "../lib/use";
import { playWatch, stopWatch, WATCH_MARK, watchEnded, watchError, watchState, watchTrace } from "../lib/watch";
import { Badge, Button, Card, Fault, Id, PageHead, Quality } from "../ui/basic";
import { DeviceSnippet } from "../ui/code";
import { Icon } from "../ui/icon";
import { MintDialog } from "../ui/mint";
import { RegisterDialog } from "../ui/model-form";
import { drawTraces } from "../ui/wave";

const LOOK_MS = 2000;

export function QuickstartPage() {
  useTitle("Quickstart");
  const models = useGet<DeviceModel[]>("/v1/device-models?limit=50", LOOK_MS * 2);
  const keys = useGet<Key[]>("/v1/keys?limit=50", LOOK_MS * 2);
  const sessions = useGet<Session[]>("/v1/sessions?limit=1", LOOK_MS);
  const [dialog, setDialog] = useState<"" | "model" | "key">("");
  const [heart, setHeart] = useState<Insight | null>(null);
  useEffect(() => listen((insight) => insight.type === "hr" && setHeart(insight)), []);

  const model = models.data?.find((one) => one.modality_channels.length) || null;
  const key = keys.data?.find((one) => one.external_id !== WATCH_MARK) || null;
  const session = sessions.data?.[0] || null;
  const newest = useGet<Session>(session ? `/v1/sessions/${session.id}` : null, LOOK_MS).data;
  const streamed = Boolean(heart || newest?.frames || (session && session.status === "closed"));
  const known = models.data && keys.data && sessions.data;
  const done = [model, key, streamed].filter(Boolean).length;
  const fault = models.error || keys.error || sessions.error;

  return (
    <>
      <PageHead title="Quickstart" about={known && done === 3 ? "All done: you stream." : "From nothing to a live heart rate, in three steps that tick themselves off."} />
      {fault && <Fault error={fault} />}
      <ol class="steps">
        <Step n={1} title="Register a watch" done={Boolean(model)} now={!model} waiting={!known}>
          {model ? (
            <p>
              <Link href={`/devices/types/${model.id}`}>{model.name}</Link> <Id value={model.id} label="Device Model ID" short />
            </p>
          ) : (
            <>
              <p class="muted">A device type tells the server which sensors to expect. One green PPG at 100 Hz is enough for a heart rate.</p>
              <Button kind="primary" icon="plus" onClick={() => setDialog("model")} disabled={!known}>
                Register Device Type
              </Button>
            </>
          )}
        </Step>
        <Step n={2} title="Make a key" done={Boolean(key)} now={Boolean(model) && !key} waiting={!known}>
          {key ? (
            <p>
              <Link href={`/keys/${key.id}`}>{key.label}</Link> <code class="muted">raeh_{key.hint}…</code>
            </p>
          ) : (
            <>
              <p class="muted">Devices and apps show it when they connect. You will see it once.</p>
              <Button kind={model ? "primary" : "plain"} icon="keys" onClick={() => setDialog("key")} disabled={!known}>
                Create key
              </Button>
            </>
          )}
        </Step>
        <Step n={3} title="Stream" done={streamed} now={Boolean(model && key) && !streamed} waiting={!known}>
          <p class="muted">
            Run the program below with your key, or let this browser play the watch: it sends a
            synthetic pulse through the same socket.
          </p>
          <BrowserWatch model={model} />
          {heart && <HeartBeat of={heart} />}
        </Step>
      </ol>
      <Card title="Your program" about="It is filled with this server's address and your device type; the key comes from RAEH_KEY.">
        <DeviceSnippet modelId={model?.id || null} />
      </Card>
      {dialog === "model" && <RegisterDialog name="My watch" onClose={() => setDialog("")} onMade={models.reload} />}
      {dialog === "key" && <MintDialog label="My watch" modelId={model?.id} onClose={() => setDialog("")} onMade={keys.reload} />}
    </>
  );
}

interface StepProps {
  n: number;
  title: string;
  done: boolean;
  now: boolean;
  waiting: boolean;
  children: ComponentChildren;
}

function Step({ n, title, done, now, waiting, children }: StepProps) {
  return (
    <li class={`step card${done ? " done" : ""}${now && !waiting ? " now" : ""}`} data-step={n} data-done={done}>
      <span class="step-mark" aria-hidden="true">
        {done ? <Icon name="check" size={18} /> : n}
      </span>
      <div class="step-body">
        <h2>
          {title}
          <span class="offscreen">{done ? ", done" : ", to do"}</span>
        </h2>
        {children}
      </div>
    </li>
  );
}

function HeartBeat({ of }: { of: Insight }) {
  return (
    <div class="heartbeat" role="status">
      <span class="heartbeat-value">{reading("hr", of.value)}</span>
      <span class="unit">bpm</span>
      <Quality of={of.sqi_class} />
      <Link href={`/sessions/${of.session_id}`} class="button plain small">
        Open the session
      </Link>
    </div>
  );
}

function BrowserWatch({ model }: { model: DeviceModel | null }) {
  const state = watchState.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (state !== "on") return;
    let turn = 0;
    const frame = { low: 0, high: 0, at: 0 };
    const draw = () => {
      turn = requestAnimationFrame(draw);
      const end = Date.now() - 300;
      if (canvas.current) drawTraces(canvas.current, { traces: [watchTrace], from: end - 6000, to: end, colors: [color("hr")], frame });
    };
    turn = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(turn);
  }, [state]);
  return (
    <div class="browser-watch">
      <div class="actions">
        {state === "off" ? (
          <Button icon="play" onClick={() => model && playWatch(model)} disabled={!model}>
            Simulate a watch in this browser
          </Button>
        ) : (
          <Button icon="stop" onClick={stopWatch} busy={state === "starting"}>
            Stop the watch
          </Button>
        )}
        {state === "on" && (
          <Badge tone="good" dot>
            streaming
          </Badge>
        )}
        {!model && <span class="muted">Register a device type first.</span>}
      </div>
      {state === "on" && <canvas ref={canvas} class="wave small-wave" role="img" aria-label="The synthetic pulse that is sent" />}
      {watchEnded.value && <p class="warn-text">{watchEnded.value}</p>}
      {watchError.value && <Fault error={watchError.value} />}
    </div>
  );
}
