// Usage: what each key asked and sent, hour by hour.
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { api, query } from "../lib/api";
import { bytes, count, exact, shortTime } from "../lib/format";
import { Link, params, setParams } from "../lib/router";
import type { Key } from "../lib/types";
import { useGet, useTitle } from "../lib/use";
import { Absent, Button, Card, Empty, Fault, PageHead, Rows, Select } from "../ui/basic";
import { Bars } from "../ui/chart";
import { save } from "../ui/save";

interface Hour {
  key_id: string;
  hour: string;
  requests: number;
  connections: number;
  frames: number;
  bytes: number;
  insights: number;
}

const ASKED_AT_ONCE = 20;
const HOUR_MS = 3600_000;
const hourOf = (at: number) => Math.floor(at / HOUR_MS) * HOUR_MS;

// The last so many hours of every key, from one request.
export function useUsage(hours: number, keyId?: string | null) {
  const end = hourOf(Date.now());
  const from = new Date(end - (hours - 1) * HOUR_MS).toISOString();
  const loaded = useGet<Hour[]>(`/v1/usage${query({ from, key_id: keyId })}`, 60000);
  return useMemo(() => {
    const rows = (loaded.data || []).map((row) => ({ ...row, at: new Date(row.hour).getTime() }));
    const series = (of: (row: Hour) => number, id?: string) => {
      const values = Array.from({ length: hours }, () => 0);
      for (const row of rows) {
        const i = hours - 1 - Math.round((end - row.at) / HOUR_MS);
        if (values[i] !== undefined && (!id || row.key_id === id)) values[i] += of(row);
      }
      return values;
    };
    const work = (row: Hour) => row.frames + row.requests;
    return {
      ...loaded,
      rows,
      series,
      byHour: (id: string) => series(work, id),
      total: (id: string) => rows.reduce((sum, row) => sum + (row.key_id === id ? work(row) : 0), 0),
    };
  }, [loaded.data, loaded.error, loaded.loading, hours, end]);
}

// The label of a key by its id; null for what is no living key: a login, or one that is deleted.
function useLabels(keys: Key[] | undefined, rows: Hour[]) {
  const [others, setOthers] = useState(new Map<string, string | null>());
  const known = useMemo(() => new Map((keys || []).map((key) => [key.id, key.label])), [keys]);
  const unknown = keys ? [...new Set(rows.map((row) => row.key_id))].filter((id) => !known.has(id) && !others.has(id)) : [];
  useEffect(() => {
    if (!unknown.length) return;
    const ask = (id: string) => api.get<Key>(`/v1/keys/${id}`).then((key) => key.label, () => null);
    const batch = unknown.slice(0, ASKED_AT_ONCE);
    Promise.all(batch.map(ask)).then((labels) => setOthers((old) => new Map([...old, ...batch.map((id, i): [string, string | null] => [id, labels[i]])])));
  }, [unknown.join()]);
  return useCallback((id: string) => known.get(id) ?? others.get(id) ?? null, [known, others]);
}

const measures: [keyof Hour & ("frames" | "bytes" | "insights" | "connections" | "requests"), string][] = [
  ["frames", "Frames"],
  ["bytes", "Bytes"],
  ["insights", "Insights"],
  ["connections", "Connections"],
  ["requests", "Requests"],
];
const spans: [string, string][] = [
  ["24", "Last 24 hours"],
  ["72", "Last 3 days"],
  ["168", "Last 7 days"],
  ["720", "Last 30 days"],
];

export function UsagePage() {
  useTitle("Usage");
  const hours = Math.min(720, Math.max(1, Number(params.value.get("hours")) || 24));
  const keyId = params.value.get("key");
  const usage = useUsage(hours, keyId);
  const keys = useGet<Key[]>("/v1/keys?limit=200");
  const label = useLabels(keys.data, usage.rows);
  const perKey = useMemo(() => {
    const sums = new Map<string, Hour>();
    for (const row of usage.rows) {
      const id = label(row.key_id) === null ? "" : row.key_id;
      const sum = sums.get(id) || { ...row, key_id: id, requests: 0, connections: 0, frames: 0, bytes: 0, insights: 0 };
      for (const [name] of measures) sum[name] += row[name] || 0;
      sums.set(id, sum);
    }
    return [...sums.values()].sort((a, b) => b.frames - a.frames);
  }, [usage.rows, label]);
  const csv = () => {
    const lines = usage.rows.map((row) => [row.key_id, row.hour, row.requests, row.connections, row.frames, row.bytes, row.insights].join());
    save("usage.csv", ["key_id,hour,requests,connections,frames,bytes,insights", ...lines].join("\n"));
  };

  return (
    <>
      <PageHead title="Usage" about="Per key and hour; figures trail by some seconds.">
        <Select bare label="Span" value={String(hours)} onChange={(value) => setParams({ hours: value })} options={spans} />
        <Select bare label="Key" value={keyId || ""} onChange={(value) => setParams({ key: value || null })} options={[["", "All keys"], ...(keys.data || []).map((key): [string, string] => [key.id, key.label])]} />
        <Button icon="download" onClick={csv} disabled={!usage.rows.length}>
          CSV
        </Button>
      </PageHead>
      {usage.error && (usage.error.absent ? <Card><Absent what="Usage" /></Card> : <Fault error={usage.error} retry={usage.reload} />)}
      {!usage.error && (
        <>
          <div class="stat-grid">
            {measures.map(([name, title]) => {
              const values = usage.series((row) => row[name] || 0);
              const sum = values.reduce((a, b) => a + b, 0);
              return (
                <section class="card stat" key={name}>
                  <h2>{title}</h2>
                  <p class="stat-value">{name === "bytes" ? bytes(sum) : count(sum)}</p>
                  <Bars tall values={values} label={`${title} by hour, ${exact(sum)} in all`} />
                  <p class="muted small-text bar-ends">
                    <span>{shortTime(hourOf(Date.now()) - (hours - 1) * HOUR_MS)}</span>
                    <span>now</span>
                  </p>
                </section>
              );
            })}
          </div>
          <Card flush title="By key">
            {!usage.data && usage.loading ? (
              <Rows n={3} />
            ) : perKey.length === 0 ? (
              <Empty icon="usage" title="Nothing in this span">
                As soon as a key connects or asks, it is counted here.
              </Empty>
            ) : (
              <div class="table-scroll" role="region" aria-label="Usage by key" tabIndex={0}>
                <table class="table cards">
                  <thead>
                    <tr>
                      <th>Key</th>
                      {measures.map(([name, title]) => (
                        <th key={name} class="num">
                          {title}
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {perKey.map((row) => (
                      <tr key={row.key_id}>
                        <td>
                          {row.key_id ? (
                            <Link href={`/keys/${row.key_id}`} class="row-link">
                              {label(row.key_id)}
                            </Link>
                          ) : (
                            <span class="muted">Dashboard, and deleted keys</span>
                          )}
                        </td>
                        {measures.map(([name, title]) => (
                          <td key={name} class="num" data-label={title}>
                            {name === "bytes" ? bytes(row.bytes) : exact(row[name])}
                          </td>
                        ))}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </Card>
        </>
      )}
    </>
  );
}
