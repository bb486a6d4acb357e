// Audit: who did what, when, from where.
import { everyRow, query } from "../lib/api";
import { Link, params, setParams } from "../lib/router";
import { usePages, useTitle } from "../lib/use";
import { Absent, Button, Card, Empty, Fault, PageHead, Pager, Rows, Time, toast } from "../ui/basic";
import { Icon } from "../ui/icon";
import { save } from "../ui/save";
import { DayFilters, dayRange } from "./sessions";

type Row = Record<string, unknown>;

const at = (row: Row) => (row.at ?? row.created_at ?? row.ts) as string | number | undefined;
const by = (row: Row) => String(row.by ?? row.actor ?? row.key_id ?? "");
const what = (row: Row) => String(row.action ?? row.event ?? row.type ?? "");
const target = (row: Row) => String(row.target ?? row.resource ?? row.target_id ?? "");
const from = (row: Row) => String(row.address ?? row.from ?? "");

const MOST = 10000;

export function AuditPage() {
  useTitle("Audit");
  const filter = { action: params.value.get("action"), ...dayRange() };
  const path = `/v1/audit${query({ ...filter, limit: 50 })}`;
  const rows = usePages<Row>(path, 10000);
  const csv = async () => {
    try {
      const { rows: all, whole } = await everyRow<Row>(`/v1/audit${query({ ...filter, limit: 200 })}`, MOST);
      const names = [...new Set(all.flatMap((row) => Object.keys(row)))];
      const cell = (value: unknown) => {
        const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
        return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      };
      save("audit.csv", [names.join(), ...all.map((row) => names.map((name) => cell(row[name])).join())].join("\n"));
      if (!whole) toast(`The newest ${MOST} rows. Narrow the dates for the others.`, true);
    } catch {
      toast("The audit trail could not be read. Try again.", true);
    }
  };
  const absent = rows.error?.absent;
  return (
    <>
      <PageHead title="Audit" about={<>Who did what, when, and from where. The trail is append-only and hash-chained: <code>raeh audit verify</code> checks it.</>}>
        <Button icon="download" onClick={csv} disabled={!rows.data?.length}>
          CSV
        </Button>
      </PageHead>
      <Card flush>
        {absent ? (
          <Absent what="The audit trail" />
        ) : (
          <>
            <div class="toolbar">
              <div class="search">
                <Icon name="search" size={16} />
                <input class="input" type="search" aria-label="Action" placeholder="Action, exactly" value={filter.action || ""} spellcheck={false} onChange={(event) => setParams({ action: event.currentTarget.value.trim() || null })} />
              </div>
              <DayFilters />
            </div>
            {rows.error && <Fault error={rows.error} retry={rows.reload} />}
            {!rows.data && !rows.error && <Rows n={10} />}
            {rows.data?.length === 0 && !rows.next && (
              <Empty icon="audit" title="Nothing here">
                What happens to keys, device types and health data is written down here.
              </Empty>
            )}
            {rows.data && rows.data.length > 0 && (
              <div class="table-scroll" role="region" aria-label="Audit trail" tabIndex={0}>
                <table class="table">
                  <thead>
                    <tr>
                      <th>When</th>
                      <th>What</th>
                      <th>By</th>
                      <th>On</th>
                      <th class="wide-only">From</th>
                    </tr>
                  </thead>
                  <tbody>
                    {rows.data.map((row, i) => (
                      <tr key={String(row.id ?? i)}>
                        <td>
                          <Time at={at(row)} />
                        </td>
                        <td>
                          <button type="button" class="link" onClick={() => setParams({ action: what(row) })}>
                            {what(row)}
                          </button>
                        </td>
                        <td class="small-text">
                          <code>{shorten(by(row))}</code>
                        </td>
                        <td class="small-text">
                          <Target row={row} />
                        </td>
                        <td class="wide-only small-text">{from(row) || "–"}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
            <Pager of={rows} />
          </>
        )}
      </Card>
    </>
  );
}

const shorten = (text: string) => (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(text) ? `${text.slice(0, 8)}…${text.slice(-4)}` : text || "–");

function Target({ row }: { row: Row }) {
  const id = target(row);
  if (/key/.test(what(row)) && /^[0-9a-f-]{36}$/.test(id)) return <Link href={`/keys/${id}`}>{shorten(id)}</Link>;
  return <code title={id}>{shorten(id)}</code>;
}
