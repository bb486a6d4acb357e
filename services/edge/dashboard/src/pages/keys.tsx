// API Keys: the list, making one, deleting one, and finding one that somebody pastes.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { query } from "../lib/api";
import { hintOfKey, looksLikeKey } from "../lib/key";
import { Link } from "../lib/router";
import type { Key } from "../lib/types";
import { usePages, useSettled, useTitle, useUserName } from "../lib/use";
import { Badge, Button, Card, Empty, Fault, IconButton, PageHead, Pager, Rows, Time } from "../ui/basic";
import { Bars } from "../ui/chart";
import { Icon } from "../ui/icon";
import { MintDialog } from "../ui/mint";
import { RevokeDialog, socketWords, useImpact } from "../ui/revoke";
import { useUsage } from "./usage";

export const isOver = (key: Key) => key.expires_at !== null && new Date(key.expires_at).getTime() < Date.now();

export function KeyState({ of }: { of: Key }) {
  if (of.disabled) return <Badge tone="warn">disabled</Badge>;
  if (isOver(of)) return <Badge>expired</Badge>;
  if (of.rotates_out_at) return <Badge tone="warn">rotating out</Badge>;
  return null;
}

interface Search {
  text: string;
  hint: string | null; // of a key that was pasted
  wrong: boolean;
}

const nothing: Search = { text: "", hint: null, wrong: false };

// What is pasted never leaves the page and does not stay in it: its hint is kept.
function readSearch(text: string): Search {
  if (!looksLikeKey(text)) return { text, hint: null, wrong: false };
  const hint = hintOfKey(text);
  return hint ? { text: `raeh_${hint}…`, hint, wrong: false } : { text: "", hint: null, wrong: text.trim().length > 12 };
}

const SETTLE_MS = 200; // of typing

// What the server is asked to look for.
const wanted = (search: Search) => (search.hint ? { hint: search.hint } : { label: search.text.trim() });

function matches(key: Key, search: Search) {
  if (search.hint) return key.hint === search.hint;
  const want = search.text.trim().toLowerCase();
  return key.label.toLowerCase().includes(want);
}

export function KeysPage() {
  useTitle("API Keys");
  const [search, setSearch] = useState(nothing);
  const keys = usePages<Key>(`/v1/keys${query({ limit: 50, ...wanted(useSettled(search, SETTLE_MS)) })}`, 15000);
  const usage = useUsage(24);
  const [minting, setMinting] = useState(false);
  const [deleting, setDeleting] = useState<Key | null>(null);
  const shown = useMemo(() => (keys.data || []).filter((key) => matches(key, search)), [keys.data, search]);

  const create = (
    <Button kind="primary" icon="plus" onClick={() => setMinting(true)}>
      Create key
    </Button>
  );
  return (
    <>
      <PageHead title="API Keys" about="A key streams as your devices, subscribes to their insights and calls the API. Deleting one closes every socket that uses it.">
        {create}
      </PageHead>
      {keys.error && <Fault error={keys.error} retry={keys.reload} />}
      {keys.data?.length === 0 && keys.page === 1 && !search.text && !keys.loading ? (
        <Card>
          <Empty icon="keys" title="No keys yet" action={create}>
            Give each firmware, app and backend a key of its own: then you can take it away from one
            without touching the others.
          </Empty>
        </Card>
      ) : (
        <Card flush>
          <div class="toolbar">
            <SearchBox search={search} onSearch={setSearch} />
          </div>
          {!keys.data ? (
            keys.loading && <Rows />
          ) : (
            <div class="table-scroll" role="region" aria-label="Keys" tabIndex={0}>
              <table class="table keys">
                <thead>
                  <tr>
                    <th>Label</th>
                    <th>Key</th>
                    <th class="wide-only">Scopes</th>
                    <th class="num wide-only">Open sockets</th>
                    {!usage.error && <th class="wide-only">Use, 24 h</th>}
                    <th>Last used</th>
                    <th class="wide-only">Created</th>
                    <th>
                      <span class="offscreen">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((key) => (
                    <tr key={key.id} class={key.disabled || isOver(key) ? "dim" : undefined}>
                      <td>
                        <Link href={`/keys/${key.id}`} class="row-link">
                          {key.label}
                        </Link>{" "}
                        <KeyState of={key} />
                        {key.device_id && <div class="muted small-text">only {key.device_id}</div>}
                      </td>
                      <td>
                        <code>raeh_{key.hint}…</code>
                      </td>
                      <td class="wide-only muted small-text">{key.scopes.join(", ")}</td>
                      <td class="num wide-only">
                        <OpenSockets id={key.id} />
                      </td>
                      {!usage.error && (
                        <td class="wide-only spark-cell">
                          <Bars values={usage.byHour(key.id)} label={`${usage.total(key.id)} frames and requests in 24 hours`} />
                        </td>
                      )}
                      <td>
                        <Time at={key.last_used_at} />
                        {key.last_used_address && <div class="muted small-text">{key.last_used_address}</div>}
                      </td>
                      <td class="wide-only">
                        <Time at={key.created_at} />
                        <Maker id={key.minted_by} />
                      </td>
                      <td class="row-actions">
                        <IconButton icon="trash" label={`Delete ${key.label}`} onClick={() => setDeleting(key)} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
              {shown.length === 0 && keys.data && <p class="no-rows muted">{search.hint ? `No key of this account begins with raeh_${search.hint}: it was deleted, or is another account's.` : "No key matches."}</p>}
            </div>
          )}
          <Pager of={keys} />
        </Card>
      )}
      {minting && (
        <MintDialog
          onClose={() => setMinting(false)}
          onMade={keys.reload}
        />
      )}
      {deleting && (
        <RevokeDialog
          of={deleting}
          onClose={() => setDeleting(null)}
          onGone={keys.reload}
        />
      )}
    </>
  );
}

// Asked only for the rows that are looked at.
function OpenSockets({ id }: { id: string }) {
  const place = useRef<HTMLSpanElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const sight = new IntersectionObserver(([entry]) => setSeen(entry.isIntersecting));
    if (place.current) sight.observe(place.current);
    return () => sight.disconnect();
  }, []);
  const { impact } = useImpact(seen ? id : null, 10000);
  const open = impact ? impact.sockets.ingest + impact.sockets.subscribe : null;
  return (
    <span ref={place} title={impact ? socketWords(impact.sockets) : undefined} class={open ? undefined : "muted"}>
      {open ?? "–"}
    </span>
  );
}

function Maker({ id }: { id: string | null }) {
  const user = useUserName(id);
  return user ? <div class="muted small-text">{user}</div> : null;
}

function SearchBox({ search, onSearch }: { search: Search; onSearch: (search: Search) => void }) {
  return (
    <div class="search">
      <Icon name="search" size={16} />
      <input
        class="input"
        type="search"
        aria-label="Find a key by its label, or paste one"
        placeholder="Find by label, or paste a key"
        value={search.text}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => {
          const next = readSearch(event.currentTarget.value);
          event.currentTarget.value = next.text;
          onSearch(next);
        }}
      />
      <span class="search-word" role="status">
        {search.wrong && <span class="bad-text">Not a key: a character is wrong or missing.</span>}
        {search.hint && <span class="muted">The pasted key is well formed; only its hint is looked for.</span>}
      </span>
    </div>
  );
}
