// Insights: the history over all sessions.
import { query } from "../lib/api";
import { kindOf, kinds, reading } from "../lib/format";
import { Link, params, setParams } from "../lib/router";
import type { Insight } from "../lib/types";
import { usePages, useTitle } from "../lib/use";
import { Button, Card, Empty, Fault, PageHead, Pager, Quality, Rows, Select, Time } from "../ui/basic";
import { saveList } from "../ui/save";
import { DayFilters, dayRange, DeviceFilter } from "./sessions";

export function InsightsPage() {
  useTitle("Insights");
  const given = params.value;
  const filter = { type: given.get("type"), device_id: given.get("device_id"), ...dayRange() };
  const insights = usePages<Insight>(`/v1/insights${query({ ...filter, limit: 50 })}`, 4000);
  const filtered = Object.values(filter).some(Boolean);
  const none = insights.data?.length === 0 && !insights.next;
  const types = Object.entries(kinds).map(([type, kind]): [string, string] => [type, kind.name]);
  return (
    <>
      <PageHead title="Insights" about="Every value that was computed, newest first, with how sure it is.">
        <Button icon="download" disabled={!insights.data?.length} onClick={() => saveList("insights.csv", `/v1/insights${query({ ...filter, limit: 200 })}`)}>
          CSV
        </Button>
      </PageHead>
      <Card flush>
        <div class="toolbar">
          <DeviceFilter />
          <Select bare label="Kind" value={given.get("type") || ""} onChange={(type) => setParams({ type: type || null })} options={[["", "Every kind"], ...types]} />
          <DayFilters />
        </div>
        {insights.error && <Fault error={insights.error} retry={insights.reload} />}
        {!insights.data && !insights.error && <Rows n={10} />}
        {none && filtered && <p class="no-rows muted">No insight matches.</p>}
        {none && !filtered && (
          <Empty icon="insights" title="No insight yet" action={<Link class="button primary" href="/quickstart">Open the quickstart</Link>}>
            The first heart rate comes within ten seconds of signal, the first breathing rate within
            forty.
          </Empty>
        )}
        {insights.data && insights.data.length > 0 && (
          <div class="table-scroll" role="region" aria-label="Insights" tabIndex={0}>
            <table class="table cards">
              <thead>
                <tr>
                  <th>Kind</th>
                  <th class="num">Value</th>
                  <th>Quality</th>
                  <th class="num wide-only">Confidence</th>
                  <th>Device</th>
                  <th>When</th>
                </tr>
              </thead>
              <tbody>
                {insights.data.map((row) => (
                  <tr key={row.id} class={row.sqi_class === "unfit" ? "dim" : undefined}>
                    <td class="whole">
                      <span class={`swatch ${row.type}`} /> {kindOf(row.type).short}
                    </td>
                    <td class="num" data-label="Value">
                      <strong>{reading(row.type, row.value)}</strong> <span class="muted">{row.unit}</span>
                    </td>
                    <td data-label="Quality">
                      <Quality of={row.sqi_class} />
                    </td>
                    <td class="num wide-only">{row.confidence.toFixed(2)}</td>
                    <td data-label="Device">
                      <Link href={`/sessions/${row.session_id}`} class="row-link">
                        {row.device_id}
                      </Link>
                    </td>
                    <td data-label="When">
                      <Time at={row.ts} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        <Pager of={insights} />
      </Card>
    </>
  );
}
