// Audit: who did what, when, from where.
import { query } from "../lib/api";
import { exact } from "../lib/format";
import { Link, params, setParams } from "../lib/router";
import type { Key } from "../lib/types";
import { useGet, usePages, useTitle, useUserName } from "../lib/use";
import { Absent, Badge, Button, Card, Empty, Fault, PageHead, Pager, Rows, Select, Time } from "../ui/basic";
import { saveList } from "../ui/save";
import { DayFilters, dayRange } from "./sessions";

interface Entry {
  id: string;
  created_at: string;
  action: string;
  by: string | null;
  target: string | null;
  resource: string | null;
  count: number;
  address: string | null;
  agent: string | null;
  redacted: boolean;
}

const words: Record<string, string> = {
  account_created: "Account created",
  user_made: "Person joined",
  user_deleted: "Person removed",
  user_shut: "Person locked out",
  password_changed: "Password changed",
  logged_in: "Logged in",
  login_forgotten: "Logged out",
  invite_made: "Invitation made",
  invite_accepted: "Invitation accepted",
  invite_deleted: "Invitation withdrawn",
  key_minted: "Key created",
  key_changed: "Key changed",
  key_revoked: "Key deleted",
  revoke_settled: "Deletion in force",
  health_read: "Health data read",
  model_created: "Device type registered",
  model_changed: "Device type changed",
  model_deleted: "Device type deleted",
  session_opened: "Session opened",
  session_closed: "Session closed",
};
const wordOf = (action: string) => words[action] || action.replaceAll("_", " ");

const READS = "health_read";

export function AuditPage() {
  useTitle("Audit");
  const given = params.value;
  const action = given.get("action");
  const reads = given.get("reads") === "1" || action === READS;
  const chosen = { action, key_id: given.get("key_id"), ...dayRange() };
  const filter = { ...chosen, without: reads ? null : READS };
  const rows = usePages<Entry>(`/v1/audit${query({ ...filter, limit: 50 })}`, 10000);
  const keys = useGet<Key[]>("/v1/keys?limit=200");
  const options = Object.entries(words).sort((a, b) => a[1].localeCompare(b[1]));
  const filtered = Object.values(chosen).some(Boolean);
  const none = rows.data?.length === 0 && !rows.next;
  const labels = new Map((keys.data || []).map((key) => [key.id, key.label]));
  return (
    <>
      <PageHead
        title="Audit"
        about={
          <>
            Who did what, when, and from where. The trail is append-only and hash-chained: <code>raeh audit verify</code> checks it.
          </>
        }
      >
        <Button icon="download" onClick={() => saveList("audit.csv", `/v1/audit${query({ ...filter, limit: 200 })}`)} disabled={!rows.data?.length}>
          CSV
        </Button>
      </PageHead>
      <Card flush>
        {rows.error?.absent ? (
          <Absent what="The audit trail" />
        ) : (
          <>
            <div class="toolbar">
              <Select bare label="What" value={action || ""} onChange={(next) => setParams({ action: next || null })} options={[["", "Every action"], ...options]} />
              <KeyFilter id={chosen.key_id} labels={labels} />
              <DayFilters />
              <label class="check">
                <input type="checkbox" checked={!reads} disabled={action === READS} onChange={(event) => setParams({ reads: event.currentTarget.checked ? null : "1" })} />
                <span>Hide reads</span>
              </label>
            </div>
            {rows.error && <Fault error={rows.error} retry={rows.reload} />}
            {!rows.data && !rows.error && <Rows n={10} />}
            {none && filtered && <p class="no-rows muted">Nothing matches{reads ? "" : "; reads are hidden"}.</p>}
            {none && !filtered && (
              <Empty icon="audit" title="Nothing here">
                What happens to keys, device types and health data is written down here.
              </Empty>
            )}
            {rows.data && rows.data.length > 0 && <Trail rows={rows.data} labels={labels} />}
            {rows.data?.length === 0 && rows.next && <p class="no-rows muted">Nothing on this page; older ones may have more.</p>}
            <Pager of={rows} />
          </>
        )}
      </Card>
    </>
  );
}

// By whom, or about which key. One that is deleted is no more in the list, and still has a past.
function KeyFilter({ id, labels }: { id: string | null; labels: Map<string, string> }) {
  const user = useUserName(id);
  const options = [...labels].map(([key, label]): [string, string] => [key, label]);
  if (id && !labels.has(id)) options.unshift([id, user || short(id)]);
  return <Select bare label="Key or person" value={id || ""} onChange={(key_id) => setParams({ key_id: key_id || null })} options={[["", "Every key and person"], ...options]} />;
}

function Trail({ rows, labels }: { rows: Entry[]; labels: Map<string, string> }) {
  return (
    <div class="table-scroll" role="region" aria-label="Audit trail" tabIndex={0}>
      <table class="table cards">
        <thead>
          <tr>
            <th>When</th>
            <th>What</th>
            <th>By</th>
            <th>About</th>
            <th class="wide-only">From</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              <td>
                <Time at={row.created_at} />
              </td>
              <td class="whole" data-label="What">
                {wordOf(row.action)} {row.count > 1 && <span class="muted">{exact(row.count)} times</span>} {row.redacted && <Badge>redacted</Badge>}
              </td>
              <td class="small-text" data-label="By">
                <Doer id={row.by} label={row.by ? labels.get(row.by) : undefined} />
              </td>
              <td class="small-text" data-label="About">
                <About row={row} label={row.target ? labels.get(row.target) : undefined} />
              </td>
              <td class="wide-only small-text" title={row.agent || undefined}>
                {row.address || <span class="muted">–</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const short = (id: string) => `${id.slice(0, 8)}…${id.slice(-4)}`;

function Doer({ id, label }: { id: string | null; label?: string }) {
  const user = useUserName(id);
  if (!id) return <span class="muted">the server</span>;
  return (
    <button type="button" class="link" title={`All that ${id} did`} onClick={() => setParams({ key_id: id })}>
      {user || label || <code>{short(id)}</code>}
    </button>
  );
}

const places: [RegExp, (id: string) => string][] = [
  [/^key_(minted|changed)$/, (id) => `/keys/${id}`],
  [/^model_(created|changed)$/, (id) => `/devices/types/${id}`],
  [/^session_/, (id) => `/sessions/${id}`],
];

function About({ row, label }: { row: Entry; label?: string }) {
  if (row.resource) return <code title={row.resource}>{row.resource.replace(/([0-9a-f]{8})-[0-9a-f-]{23}([0-9a-f]{4})/g, "$1…$2")}</code>;
  if (!row.target) return <span class="muted">–</span>;
  const place = places.find(([action]) => action.test(row.action));
  const id = label ? <span title={row.target}>{label}</span> : <code title={row.target}>{short(row.target)}</code>;
  return place ? <Link href={place[1](row.target)}>{id}</Link> : id;
}
