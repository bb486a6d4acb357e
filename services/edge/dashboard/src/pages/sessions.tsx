// Sessions: the list, live on its first page, with its filters in the address.
import { query } from "../lib/api";
import { brief, duration } from "../lib/format";
import { Link, params, setParams } from "../lib/router";
import type { DeviceModel, Session } from "../lib/types";
import { now, useGet, usePages, useTitle } from "../lib/use";
import { Badge, Card, Empty, Fault, PageHead, Pager, Rows, Select, Time } from "../ui/basic";
import { Icon } from "../ui/icon";

export const Status = ({ of }: { of: Session }) =>
  of.status === "open" ? (
    <Badge tone="good" dot>
      open
    </Badge>
  ) : (
    <Badge>closed</Badge>
  );

const lengthOf = (session: Session, at: number) =>
  (session.ended_at ? new Date(session.ended_at).getTime() : at) - new Date(session.started_at).getTime();
export const lasted = (session: Session, at: number) => duration(lengthOf(session, at));

const startOf = (day: string) => (day ? new Date(`${day}T00:00:00`).toISOString() : null);
const endOf = (day: string) => (day ? new Date(`${day}T23:59:59.999`).toISOString() : null);

export function DayFilters() {
  const given = params.value;
  return (
    <>
      {(["from", "to"] as const).map((name) => (
        <label key={name} class="inline">
          <span class="muted">{name === "from" ? "From" : "To"}</span>
          <input class="input" type="date" value={given.get(name) || ""} onChange={(event) => setParams({ [name]: event.currentTarget.value || null })} />
        </label>
      ))}
    </>
  );
}

export function DeviceFilter() {
  return (
    <div class="search">
      <Icon name="search" size={16} />
      <input class="input" type="search" aria-label="Device id" placeholder="Device id, exactly" value={params.value.get("device_id") || ""} spellcheck={false} onChange={(event) => setParams({ device_id: event.currentTarget.value.trim() || null })} />
    </div>
  );
}

export const dayRange = () => ({ from: startOf(params.value.get("from") || ""), to: endOf(params.value.get("to") || "") });

export function SessionsPage() {
  useTitle("Sessions");
  const given = params.value;
  const status = given.get("status") || "";
  const filter = { status, device_id: given.get("device_id"), ...dayRange() };
  return (
    <>
      <PageHead title="Sessions" about="One session is one connection of a device, from its opening to its close." />
      <SessionsTable
        filter={filter}
        tools={
          <div class="toolbar">
            <DeviceFilter />
            <Select bare label="Status" value={status} onChange={(value) => setParams({ status: value || null })} options={[["", "Open and closed"], ["open", "Open"], ["closed", "Closed"]]} />
            <DayFilters />
          </div>
        }
      />
    </>
  );
}

interface TableProps {
  filter: Record<string, string | null>;
  tools?: preact.ComponentChildren;
  title?: string;
}

export function SessionsTable({ filter, tools, title }: TableProps) {
  const sessions = usePages<Session>(`/v1/sessions${query({ ...filter, limit: 50 })}`, 4000);
  const models = useGet<DeviceModel[]>("/v1/device-models");
  const typeOf = (id: string) => models.data?.find((model) => model.id === id)?.name || "–";
  const filtered = Object.values(filter).some(Boolean);
  const none = sessions.data?.length === 0 && !sessions.next;
  return (
    <Card flush title={title}>
      {tools}
      {sessions.error && <Fault error={sessions.error} retry={sessions.reload} />}
      {!sessions.data && !sessions.error && <Rows />}
      {none && filtered && <p class="no-rows muted">No session matches.</p>}
      {none && !filtered && (
        <Empty icon="sessions" title="No session yet" action={<Link class="button primary" href="/quickstart">Stream the first one</Link>}>
          Connect a device, or let this browser play one: the quickstart has a button for it.
        </Empty>
      )}
      {sessions.data && sessions.data.length > 0 && (
        <div class="table-scroll" role="region" aria-label="Sessions" tabIndex={0}>
          <table class="table">
            <thead>
              <tr>
                <th>Device</th>
                <th>Status</th>
                <th>Started</th>
                <th class="num wide-only">Lasted</th>
                <th class="wide-only">Type</th>
                <th class="wide-only">Session</th>
              </tr>
            </thead>
            <tbody>
              {sessions.data.map((session) => (
                <tr key={session.id}>
                  <td>
                    <Link href={`/sessions/${session.id}`} class="row-link">
                      {session.device_id}
                    </Link>
                  </td>
                  <td>
                    <Status of={session} />
                  </td>
                  <td>
                    <Time at={session.started_at} />
                  </td>
                  <td class="num wide-only">{brief(lengthOf(session, now.value))}</td>
                  <td class="wide-only">
                    <Link href={`/devices/types/${session.device_model_id}`}>{typeOf(session.device_model_id)}</Link>
                  </td>
                  <td class="wide-only">
                    <code class="muted">{session.id.slice(0, 8)}…</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Pager of={sessions} />
    </Card>
  );
}
