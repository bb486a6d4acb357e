// Making a key, and showing it the one time that it can be shown. The key lives in the state of
// the dialog alone and is gone with it.
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import type { Key, Scope } from "../lib/types";
import { useAction } from "../lib/use";
import { Button, Dialog, Fault, Input, Select } from "./basic";
import { DeviceSnippet, Line } from "./code";
import { Copy } from "./basic";
import { LimitInputs, limitsBody, limitTexts } from "./limits";

export const scopeWords: [Scope, string, string][] = [
  ["ingest", "Ingest", "stream frames as a device"],
  ["subscribe", "Subscribe", "receive insights live"],
  ["read", "Read", "read sessions, insights, devices"],
  ["write", "Write", "change device types and devices"],
  ["keys", "Keys", "make and delete keys, read the audit trail"],
];

const defaults: Scope[] = ["ingest", "subscribe", "read", "write"];
const lives: [string, string][] = [
  ["", "Never"],
  ["3600", "In an hour"],
  ["86400", "In a day"],
  ["2592000", "In 30 days"],
  ["31536000", "In a year"],
];

export function Scopes({ value, onChange }: { value: Scope[]; onChange: (scopes: Scope[]) => void }) {
  const flip = (scope: Scope) =>
    onChange(value.includes(scope) ? value.filter((one) => one !== scope) : [...value, scope]);
  return (
    <fieldset class="field">
      <legend>Scopes</legend>
      <div class="checks">
        {scopeWords.map(([scope, name, about]) => (
          <label key={scope} class="check">
            <input type="checkbox" checked={value.includes(scope)} onChange={() => flip(scope)} />
            <span>
              <strong>{name}</strong> <span class="muted">{about}</span>
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

interface MintProps {
  modelId?: string | null;
  label?: string;
  onClose: () => void;
  onMade: (key: Key) => void; // without its secret
}

export function MintDialog({ modelId = null, label: first = "", onClose, onMade }: MintProps) {
  const [label, setLabel] = useState(first);
  const [scopes, setScopes] = useState(defaults);
  const [device, setDevice] = useState("");
  const [external, setExternal] = useState("");
  const [rate, setRate] = useState("");
  const [limits, setLimits] = useState(limitTexts(null));
  const [life, setLife] = useState("");
  const [made, setMade] = useState<string | null>(null);

  const mint = useAction(async () => {
    const body: Record<string, unknown> = { label: label.trim(), scopes: device ? scopes.filter((one) => one !== "write" && one !== "keys") : scopes };
    if (device) body.device_id = device;
    if (external) body.external_id = external;
    if (rate) body.rate_limit = Number(rate);
    body.limits = limitsBody(limits, null);
    if (life) body.expires_at = new Date(Date.now() + Number(life) * 1000).toISOString();
    const { key, ...rest } = await api.post<Key>("/v1/keys", body);
    setMade(key || "");
    onMade(rest as Key);
  });
  const submit = (event: Event) => {
    event.preventDefault();
    mint.run();
  };

  if (made !== null) return <ShownOnce secret={made} modelId={modelId} onDone={onClose} />;
  return (
    <Dialog title="Create key" onClose={onClose}>
      <form onSubmit={submit} class="stack">
        <Input label="Label" required maxLength={128} value={label} onInput={setLabel} data-first placeholder="e.g. fleet firmware, staging" hint="What uses the key. You will look for it by this name." />
        <details class="fold">
          <summary>Scopes and limits</summary>
          <div class="stack">
            <Scopes value={scopes} onChange={setScopes} />
            <Input label="Only for the device" value={device} onInput={setDevice} maxLength={128} placeholder="any device" hint="The key then streams and reads as this one device." />
            <Input label="External id" value={external} onInput={setExternal} maxLength={128} placeholder="none" hint="Your own id of the user whom this key is for." />
            <Input label="Frames a second" type="number" min={1} max={1000000} value={rate} onInput={setRate} placeholder="default (20 000)" />
            <LimitInputs value={limits} onChange={setLimits} />
            <Select label="Expires" value={life} onChange={setLife} options={lives} />
          </div>
        </details>
        {mint.error && <Fault error={mint.error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={mint.busy} disabled={!label.trim() || !scopes.length}>
            Create key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function ShownOnce({ secret, modelId, onDone }: { secret: string; modelId: string | null; onDone: () => void }) {
  return (
    <Dialog title="Save your key" wide class="once">
      <p>
        This is the only time that the key is shown. Only a digest of it is kept, so nobody can look
        it up again.
      </p>
      <div class="secret">
        <code tabIndex={0} role="region" aria-label="API key">
          {secret}
        </code>
        <Copy text={secret} label="Copy key" wide />
      </div>
      <Line text={`RAEH_KEY=${secret}`} label="Line for .env" />
      <details class="fold">
        <summary>A program that uses it</summary>
        <DeviceSnippet modelId={modelId} />
      </details>
      <div class="dialog-foot">
        <Button kind="primary" onClick={onDone}>
          I have saved it
        </Button>
      </div>
    </Dialog>
  );
}
