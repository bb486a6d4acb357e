// One key: who uses it, its settings, rotating and deleting it.
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { exact } from "../lib/format";
import { go } from "../lib/router";
import type { Key, Scope } from "../lib/types";
import { useAction, useGet, useTitle, useUserName } from "../lib/use";
import { Absent, Badge, Button, Card, Dialog, Fault, Id, Input, Loading, NotFound, PageHead, Rows, Select, Time, toast } from "../ui/basic";
import { Bars } from "../ui/chart";
import { LimitFacts, LimitInputs, limitsBody, limitTexts } from "../ui/limits";
import { Scopes, ShownOnce } from "../ui/mint";
import { RevokeDialog, socketWords, useImpact } from "../ui/revoke";
import { KeyState } from "./keys";
import { useUsage } from "./usage";

export function KeyPage({ id }: { id: string }) {
  const loaded = useGet<Key>(`/v1/keys/${encodeURIComponent(id)}`, 10000);
  const key = loaded.data;
  const [dialog, setDialog] = useState<"" | "edit" | "rotate" | "delete">("");
  const [gone, setGone] = useState(false);
  useTitle(key?.label || "Key");

  if (loaded.error && !key)
    return loaded.error.status === 404 || loaded.error.status === 400 ? <NotFound what="key" back={{ href: "/keys", label: "All keys" }} /> : <Fault error={loaded.error} retry={loaded.reload} />;
  if (!key) return <Loading back={{ href: "/keys", label: "API Keys" }} />;
  const close = () => {
    setDialog("");
    if (gone) go("/keys", { replace: true });
  };
  return (
    <>
      <PageHead title={<>{key.label} <KeyState of={key} /></>} back={{ href: "/keys", label: "API Keys" }}>
        <Button icon="edit" onClick={() => setDialog("edit")}>
          Edit
        </Button>
        <Button icon="rotate" onClick={() => setDialog("rotate")}>
          Rotate
        </Button>
        <Button kind="danger" icon="trash" onClick={() => setDialog("delete")}>
          Delete
        </Button>
      </PageHead>
      {key.rotated_to && !gone && <Rotation old={key} />}
      <div class="columns">
        <Use of={key} />
        <Facts of={key} />
      </div>
      {dialog === "edit" && <EditDialog of={key} onClose={close} onSaved={loaded.set} />}
      {dialog === "rotate" && <RotateDialog of={key} onClose={close} onRotated={loaded.reload} />}
      {dialog === "delete" && <RevokeDialog of={key} onClose={close} onGone={() => setGone(true)} />}
    </>
  );
}

function Use({ of }: { of: Key }) {
  const { impact, error } = useImpact(of.id, 5000);
  const usage = useUsage(72);
  return (
    <Card title="In use">
      {impact ? (
        <>
          <p class="big-fact">
            {impact.sockets.ingest + impact.sockets.subscribe}
            <span class="muted"> open sockets now</span>
          </p>
          {impact.sockets.ingest + impact.sockets.subscribe > 0 && <p class="muted">{socketWords(impact.sockets)}</p>}
          {impact.devices.length > 0 && <p>{impact.devices.slice(0, 8).join(", ")}</p>}
        </>
      ) : error?.absent ? (
        <Absent what="The count of open sockets" />
      ) : (
        <Rows n={2} />
      )}
      {!usage.error && (
        <>
          <h3>Last three days</h3>
          <Bars tall values={usage.byHour(of.id)} label={`${usage.total(of.id)} frames and requests in 72 hours`} />
          <p class="muted small-text">{exact(usage.total(of.id))} frames and requests</p>
        </>
      )}
    </Card>
  );
}

function Facts({ of }: { of: Key }) {
  return (
    <Card title="Settings">
      <dl class="facts">
        <dt>Key</dt>
        <dd>
          <code>raeh_{of.hint}…</code>
        </dd>
        <dt>Id</dt>
        <dd>
          <Id value={of.id} label="key id" short />
        </dd>
        <dt>Scopes</dt>
        <dd class="badges">
          {of.scopes.map((scope) => (
            <Badge key={scope}>{scope}</Badge>
          ))}
        </dd>
        <dt>Device</dt>
        <dd>{of.device_id || "any"}</dd>
        <dt>External id</dt>
        <dd>{of.external_id || "none"}</dd>
        <dt>Frames a second</dt>
        <dd>{of.rate_limit ? exact(of.rate_limit) : "default (20,000)"}</dd>
        <LimitFacts of={of.limits} />
        <dt>Created</dt>
        <dd>
          <Time at={of.created_at} />
          <Maker id={of.minted_by} />
        </dd>
        <dt>Last used</dt>
        <dd>
          <Time at={of.last_used_at} />
          {of.last_used_address && <span class="muted"> from {of.last_used_address}</span>}
          {of.last_used_agent && <div class="muted small-text">{of.last_used_agent}</div>}
        </dd>
        <dt>Expires</dt>
        <dd>
          <Time at={of.expires_at} />
        </dd>
      </dl>
    </Card>
  );
}

function Maker({ id }: { id: string | null }) {
  const user = useUserName(id);
  if (!id) return null;
  return user ? <span class="muted"> by {user}</span> : <span class="muted"> by <code title={id}>{id.slice(0, 8)}…</code></span>;
}

// Who still uses the old key while both live.
function Rotation({ old }: { old: Key }) {
  const before = useImpact(old.id, 5000).impact;
  const after = useImpact(old.rotated_to as string, 5000).impact;
  const sum = (impact: typeof before) => (impact ? impact.sockets.ingest + impact.sockets.subscribe : 0);
  const [here, there] = [sum(before), sum(after)];
  const share = here + there ? (100 * there) / (here + there) : 0;
  return (
    <Card title="Rotation under way" about={old.rotates_out_at ? <>The old key ends <Time at={old.rotates_out_at} />.</> : "The old key lives until you delete it."}>
      <svg class="split-bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={`${there} sockets on the new key, ${here} on the old`}>
        <rect class="rest" width="100" height="4" />
        <rect class="part" width={share} height="4" />
      </svg>
      <p class="muted">
        {there} sockets on the new key, <strong>{here} still on this one</strong>.
        {here === 0 && " Nothing uses it now: it can be deleted."}
      </p>
      <Button small onClick={() => go(`/keys/${old.rotated_to}`)}>
        Open the new key
      </Button>
    </Card>
  );
}

const overlaps: [string, string][] = [
  ["", "Until I delete it"],
  ["3600", "For an hour"],
  ["86400", "For a day"],
  ["604800", "For a week"],
  ["0", "Not at all: close its sockets now"],
];

function RotateDialog({ of, onClose, onRotated }: { of: Key; onClose: () => void; onRotated: () => void }) {
  const [overlap, setOverlap] = useState("86400");
  const [made, setMade] = useState<string | null>(null);
  const rotate = useAction(async () => {
    const answer = await api.post<Key>(`/v1/keys/${of.id}/rotate`, overlap === "" ? {} : { overlap_s: Number(overlap) });
    setMade(answer.key || "");
    onRotated();
  });
  if (made !== null) return <ShownOnce secret={made} modelId={null} onDone={onClose} />;
  return (
    <Dialog title={`Rotate “${of.label}”`} onClose={onClose}>
      <div class="stack">
        <p>A successor with the same settings is made. Roll it out, watch the old one empty, then delete it.</p>
        <Select label="The old key lives on" value={overlap} onChange={setOverlap} options={overlaps} />
        {rotate.error && (rotate.error.absent ? <Absent what="Rotation" /> : <Fault error={rotate.error} />)}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" busy={rotate.busy} onClick={() => rotate.run()}>
            Rotate key
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function EditDialog({ of, onClose, onSaved }: { of: Key; onClose: () => void; onSaved: (key: Key) => void }) {
  const [label, setLabel] = useState(of.label);
  const [scopes, setScopes] = useState<Scope[]>(of.scopes);
  const [rate, setRate] = useState(of.rate_limit ? String(of.rate_limit) : "");
  const [limits, setLimits] = useState(limitTexts(of.limits));
  const [disabled, setDisabled] = useState(of.disabled);
  const narrows = (disabled && !of.disabled) || of.scopes.some((scope) => !scopes.includes(scope));
  const save = useAction(async () => {
    const body: Record<string, unknown> = {};
    if (label.trim() !== of.label) body.label = label.trim();
    if (scopes.slice().sort().join() !== of.scopes.slice().sort().join()) body.scopes = scopes;
    if (disabled !== of.disabled) body.disabled = disabled;
    if ((rate ? Number(rate) : null) !== of.rate_limit) body.rate_limit = rate ? Number(rate) : null;
    body.limits = limitsBody(limits, of.limits);
    onSaved(await api.patch<Key>(`/v1/keys/${of.id}`, body));
    toast("Saved");
    onClose();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    save.run();
  };
  return (
    <Dialog title={`Edit “${of.label}”`} onClose={onClose}>
      <form onSubmit={submit} class="stack">
        <Input label="Label" required maxLength={128} value={label} onInput={setLabel} data-first />
        <Scopes value={scopes} onChange={setScopes} />
        <Input label="Frames a second" type="number" min={1} max={1000000} value={rate} onInput={setRate} placeholder="default (20 000)" />
        <details class="fold">
          <summary>More limits</summary>
          <div class="stack">
            <LimitInputs value={limits} onChange={setLimits} />
          </div>
        </details>
        <label class="check">
          <input type="checkbox" checked={disabled} onChange={() => setDisabled(!disabled)} />
          <span>
            <strong>Disabled</strong> <span class="muted">refused everywhere until you enable it again</span>
          </span>
        </label>
        {narrows && <p class="warn-text">Sockets that need what you take away are closed at once.</p>}
        {save.error && (save.error.absent ? <Absent what="Editing keys" /> : <Fault error={save.error} />)}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={save.busy} disabled={!label.trim() || !scopes.length}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
