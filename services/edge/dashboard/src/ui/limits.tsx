// The limits of a key beside its frames a second: shown, and asked for in a form.
import type { Limits } from "../lib/types";
import { exact } from "../lib/format";
import { Input } from "./basic";

const fields: [keyof Limits, string, string, number][] = [
  ["open_sockets", "Open sockets", "20 000", 1000000],
  ["connections_per_s", "New sockets a second", "2 000", 1000000],
  ["requests_per_s", "Requests a second", "200", 1000000],
  ["bytes_per_s", "Bytes a second", "67 108 864", 1000000000],
];

export type LimitTexts = Record<keyof Limits, string>;

export function limitTexts(limits: Limits | null): LimitTexts {
  const text = (value: number | null | undefined) => (value ? String(value) : "");
  return {
    requests_per_s: text(limits?.requests_per_s),
    bytes_per_s: text(limits?.bytes_per_s),
    connections_per_s: text(limits?.connections_per_s),
    open_sockets: text(limits?.open_sockets),
  };
}

// What differs from what the key has, for POST and PATCH; undefined: nothing does.
export function limitsBody(texts: LimitTexts, was: Limits | null): Partial<Limits> | undefined {
  const body: Partial<Limits> = {};
  for (const [name] of fields) {
    const value = texts[name] ? Number(texts[name]) : null;
    if (value !== (was?.[name] ?? null)) body[name] = value;
  }
  return Object.keys(body).length ? body : undefined;
}

export function LimitInputs({ value, onChange }: { value: LimitTexts; onChange: (texts: LimitTexts) => void }) {
  return (
    <>
      {fields.map(([name, label, usual, most]) => (
        <Input key={name} label={label} type="number" min={1} max={most} value={value[name]} onInput={(text) => onChange({ ...value, [name]: text })} placeholder={`default (${usual})`} />
      ))}
    </>
  );
}

export function LimitFacts({ of }: { of: Limits | null }) {
  return (
    <>
      {fields.map(([name, label, usual]) => (
        <>
          <dt>{label}</dt>
          <dd>{of?.[name] ? exact(of[name] as number) : `default (${usual.replace(/ /g, ",")})`}</dd>
        </>
      ))}
    </>
  );
}
