// Audit: who did what, when, from where.
import { query } from "../lib/api";
import { exact } from "../lib/format";
import { Link, params, setParams } from "../lib/router";
import { usePages, useTitle, useUserName } from "../lib/use";
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

export function AuditPage() {
  useTitle("Audit");
  const given = params.value;
  const filter = { action: given.get("action"), key_id: given.get("key_id"), ...dayRange() };
  const rows = usePages<Entry>(`/v1/audit${query({ ...filter, limit: 50 })}`, 10000);
  const options = Object.entries(words).sort((a, b) => a[1].localeCompare(b[1]));
  const filtered = Object.values(filter).some(Boolean);
  const none = rows.data?.length === 0 && !rows.next;
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
              <Select bare label="What" value={filter.action || ""} onChange={(action) => setParams({ action: action || null })} options={[["", "Everything"], ...options]} />
              <DayFilters />
              {filter.key_id && (
                <Button small icon="close" onClick={() => setParams({ key_id: null })}>
                  of {filter.key_id.slice(0, 8)}… alone
                </Button>
              )}
            </div>
            {rows.error && <Fault error={rows.error} retry={rows.reload} />}
            {!rows.data && !rows.error && <Rows n={10} />}
            {none && filtered && <p class="no-rows muted">Nothing matches.</p>}
            {none && !filtered && (
              <Empty icon="audit" title="Nothing here">
                What happens to keys, device types and health data is written down here.
              </Empty>
            )}
            {rows.data && rows.data.length > 0 && <Trail rows={rows.data} />}
            {rows.data?.length === 0 && rows.next && <p class="no-rows muted">Nothing on this page; older ones may have more.</p>}
            <Pager of={rows} />
          </>
        )}
      </Card>
    </>
  );
}

function Trail({ rows }: { rows: Entry[] }) {
  return (
    <div class="table-scroll" role="region" aria-label="Audit trail" tabIndex={0}>
      <table class="table">
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
              <td class="whole">
                {wordOf(row.action)} {row.count > 1 && <span class="muted">{exact(row.count)} times</span>} {row.redacted && <Badge>redacted</Badge>}
              </td>
              <td class="small-text">
                <Doer id={row.by} />
              </td>
              <td class="small-text">
                <About row={row} />
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

function Doer({ id }: { id: string | null }) {
  const user = useUserName(id);
  if (!id) return <span class="muted">the server</span>;
  if (user) return <>{user}</>;
  return (
    <button type="button" class="link" title={`All that ${id} did`} onClick={() => setParams({ key_id: id })}>
      <code>{short(id)}</code>
    </button>
  );
}

const places: [RegExp, (id: string) => string][] = [
  [/^key_(minted|changed)$/, (id) => `/keys/${id}`],
  [/^model_(created|changed)$/, (id) => `/devices/types/${id}`],
  [/^session_/, (id) => `/sessions/${id}`],
];

function About({ row }: { row: Entry }) {
  if (row.resource) return <code title={row.resource}>{row.resource.replace(/([0-9a-f]{8})-[0-9a-f-]{23}([0-9a-f]{4})/g, "$1…$2")}</code>;
  if (!row.target) return <span class="muted">–</span>;
  const place = places.find(([action]) => action.test(row.action));
  const id = <code title={row.target}>{short(row.target)}</code>;
  return place ? <Link href={place[1](row.target)}>{id}</Link> : id;
}
