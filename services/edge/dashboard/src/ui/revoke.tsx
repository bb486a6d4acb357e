// Deleting a key: what it would close, the label typed, and the receipt.
import { useState } from "preact/hooks";
import { api } from "../lib/api";
import { plural } from "../lib/format";
import type { Key, Receipt } from "../lib/types";
import { useAction, useGet } from "../lib/use";
import { Button, Dialog, Fault, Input, Time } from "./basic";
import { Icon } from "./icon";

export interface Impact {
  edges: number; // on which a socket is open
  sockets: { ingest: number; subscribe: number };
  devices: string[];
  lastUsedAt: string | null;
  children: { id: string; label: string }[];
}

// What the server says of a key's open sockets, devices and children.
export function useImpact(id: string | null, everyMs = 0) {
  const loaded = useGet<Record<string, unknown>>(id && `/v1/keys/${id}/impact`, everyMs);
  return { ...loaded, impact: loaded.data ? readImpact(loaded.data) : null };
}

export function readImpact(data: Record<string, unknown>): Impact {
  const sockets = (data.sockets || data.open_sockets || {}) as { ingest?: number; subscribe?: number };
  const devices = (data.devices || []) as (string | { device_id: string })[];
  const children = (data.children || []) as (string | { id: string; label?: string })[];
  const edges = (data.edges || []) as { ingest?: number; subscribe?: number }[];
  return {
    edges: edges.filter((one) => one.ingest || one.subscribe).length,
    sockets: { ingest: sockets.ingest || 0, subscribe: sockets.subscribe || 0 },
    devices: devices.map((one) => (typeof one === "string" ? one : one.device_id)),
    lastUsedAt: (data.last_used_at as string) || null,
    children: children.map((one) => (typeof one === "string" ? { id: one, label: one } : { id: one.id, label: one.label || one.id })),
  };
}

export const socketWords = (sockets: { ingest: number; subscribe: number }) => {
  const parts = [];
  if (sockets.ingest) parts.push(plural(sockets.ingest, "device"));
  if (sockets.subscribe) parts.push(plural(sockets.subscribe, "subscriber"));
  return parts.join(" and ") || "no open socket";
};

function ImpactLines({ of, cascade }: { of: Impact; cascade: boolean }) {
  const all = of.sockets.ingest + of.sockets.subscribe;
  return (
    <ul class="impact">
      <li>
        <Icon name="live" size={16} />
        <span>
          {all ? (
            <>
              Closes <strong>{plural(all, "open socket")}</strong>
              {of.edges > 1 && ` on ${plural(of.edges, "edge")}`}: {socketWords(of.sockets)}
            </>
          ) : (
            "No socket is open with it now"
          )}
        </span>
      </li>
      {of.devices.length > 0 && (
        <li>
          <Icon name="devices" size={16} />
          <span>
            {of.devices.slice(0, 5).join(", ")}
            {of.devices.length > 5 && ` and ${of.devices.length - 5} more`} stop streaming
          </span>
        </li>
      )}
      <li>
        <Icon name="keys" size={16} />
        <span>
          Last used <Time at={of.lastUsedAt} />
        </span>
      </li>
      {of.children.length > 0 && (
        <li>
          <Icon name="alert" size={16} />
          <span>{plural(of.children.length, "key")} made with it {cascade ? "are deleted too" : "live on"}</span>
        </li>
      )}
    </ul>
  );
}

export function RevokeDialog({ of, onClose, onGone }: { of: Key; onClose: () => void; onGone: () => void }) {
  const [typed, setTyped] = useState("");
  const [cascade, setCascade] = useState(false);
  const [receipt, setReceipt] = useState<Receipt | null>(null);
  const { impact } = useImpact(of.id);
  const revoke = useAction(async () => {
    setReceipt(await api.del<Receipt>(`/v1/keys/${of.id}${cascade ? "?cascade=true" : ""}`));
    onGone();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (typed.trim() === of.label.trim()) revoke.run();
  };
  if (receipt) return <ReceiptDialog receipt={receipt} label={of.label} onClose={onClose} />;
  return (
    <Dialog title={`Delete “${of.label}”`} onClose={onClose}>
      <form onSubmit={submit} class="stack">
        <p>
          The key <code>raeh_{of.hint}…</code> is refused everywhere from that moment. This cannot be
          undone.
        </p>
        {impact ? <ImpactLines of={impact} cascade={cascade} /> : <p class="muted">Whatever is connected with it is closed at once.</p>}
        {impact && impact.children.length > 0 && (
          <label class="check">
            <input type="checkbox" checked={cascade} onChange={() => setCascade(!cascade)} />
            <span>Delete the keys made with it as well</span>
          </label>
        )}
        <Input label={`Type “${of.label}” to confirm`} value={typed} onInput={setTyped} data-first autocomplete="off" spellcheck={false} />
        {revoke.error && <Fault error={revoke.error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" type="submit" busy={revoke.busy} disabled={typed.trim() !== of.label.trim()}>
            Delete key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function ReceiptDialog({ receipt, label, onClose }: { receipt: Receipt; label: string; onClose: () => void }) {
  const { ingest, subscribe } = receipt.sockets_closed;
  return (
    <Dialog title="Key deleted" onClose={onClose}>
      <div class="receipt" role="status">
        <span class="receipt-mark">
          <Icon name="check" size={26} />
        </span>
        <p class="receipt-line">
          {plural(ingest + subscribe, "socket")} closed on {plural(receipt.edges_acked, "edge")} in {receipt.elapsed_ms} ms
        </p>
        <dl class="facts">
          <dt>Key</dt>
          <dd>{label}</dd>
          <dt>Devices closed</dt>
          <dd>{ingest}</dd>
          <dt>Subscribers closed</dt>
          <dd>{subscribe}</dd>
          <dt>In force on</dt>
          <dd>
            {receipt.edges_acked} of {plural(receipt.edges_total, "edge")}
            {receipt.edges_acked < receipt.edges_total && " (the others had lost their lease and serve nothing)"}
          </dd>
          <dt>Deleted</dt>
          <dd>
            <Time at={receipt.revoked_at} relative={false} />
          </dd>
        </dl>
      </div>
      <div class="dialog-foot">
        <Button kind="primary" onClick={onClose} data-first>
          Done
        </Button>
      </div>
    </Dialog>
  );
}
