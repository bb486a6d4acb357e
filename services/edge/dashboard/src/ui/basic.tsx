// The small parts that every page is made of.
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { ApiError } from "../lib/api";
import { ago, fullTime, utc } from "../lib/format";
import { Link } from "../lib/router";
import { now, type Pages } from "../lib/use";
import { Icon, type IconName } from "./icon";

type Kids = { children?: ComponentChildren };

interface ButtonProps extends Omit<JSX.ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "size"> {
  kind?: "primary" | "plain" | "danger" | "quiet";
  small?: boolean;
  busy?: boolean;
  icon?: IconName;
}

export function Button({ kind = "plain", small, busy, icon, children, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      class={`button ${kind}${small ? " small" : ""}${busy ? " busy" : ""}`}
      disabled={Boolean(disabled) || busy}
      aria-busy={busy || undefined}
      {...rest}
    >
      {icon && <Icon name={icon} size={16} />}
      {children && <span>{children}</span>}
    </button>
  );
}

export function IconButton({ icon, label, ...rest }: { icon: IconName; label: string } & Omit<JSX.ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "label">) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

// ---- messages that come and go ----

const toasts = signal<{ id: number; text: string; bad: boolean }[]>([]);
let toastId = 0;

export function toast(text: string, bad = false) {
  const id = ++toastId;
  toasts.value = [...toasts.value, { id, text, bad }];
  setTimeout(() => (toasts.value = toasts.value.filter((one) => one.id !== id)), bad ? 8000 : 4000);
}

// Above everything, open dialogs too.
export function Toasts() {
  const box = useRef<HTMLDivElement>(null);
  const n = toasts.value.length;
  useEffect(() => {
    box.current?.hidePopover?.();
    box.current?.showPopover?.();
  }, [n]);
  return (
    <div ref={box} class="toasts" role="status" aria-live="polite" popover="manual">
      {toasts.value.map((one) => (
        <div key={one.id} class={`toast${one.bad ? " bad" : ""}`}>
          <Icon name={one.bad ? "alert" : "check"} size={16} />
          {one.text}
        </div>
      ))}
    </div>
  );
}

// ---- text ----

export function Copy({ text, label = "Copy", wide }: { text: string; label?: string; wide?: boolean }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    if (await toClipboard(text)) {
      setDone(true);
      setTimeout(() => setDone(false), 1800);
    } else toast("The browser did not allow copying. Select the text and copy it by hand.", true);
  };
  return (
    <>
      {wide ? (
        <Button icon={done ? "check" : "copy"} onClick={copy}>
          {done ? "Copied" : label}
        </Button>
      ) : (
        <IconButton icon={done ? "check" : "copy"} label={label} onClick={copy} />
      )}
      <span class="offscreen" role="status">
        {done && "Copied"}
      </span>
    </>
  );
}

// Where the page is not a secure context there is no clipboard object: the old way does.
async function toClipboard(text: string) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offscreen";
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function Id({ value, label, short }: { value: string; label: string; short?: boolean }) {
  return (
    <span class="id">
      <code title={value}>{short ? `${value.slice(0, 8)}…${value.slice(-4)}` : value}</code>
      <Copy text={value} label={`Copy ${label}`} />
    </span>
  );
}

export function Time({ at, relative = true }: { at: string | number | null | undefined; relative?: boolean }) {
  if (at === null || at === undefined) return <span class="muted">never</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={`${fullTime(at)} · ${utc(at)}`}>
      {relative ? ago(at, now.value) : fullTime(at)}
    </time>
  );
}

export function Badge({ tone = "neutral", dot, children }: Kids & { tone?: "neutral" | "good" | "warn" | "bad" | "info"; dot?: boolean }) {
  return (
    <span class={`badge ${tone}`}>
      {dot && <span class="dot" />}
      {children}
    </span>
  );
}

export const Quality = ({ of }: { of: "excellent" | "acceptable" | "unfit" }) => (
  <Badge tone={of === "excellent" ? "good" : of === "acceptable" ? "warn" : "neutral"}>{of}</Badge>
);

// ---- the page and its states ----

interface HeadProps extends Kids {
  title: ComponentChildren;
  about?: ComponentChildren;
  back?: { href: string; label: string };
}

export function PageHead({ title, about, back, children }: HeadProps) {
  return (
    <header class="page-head">
      <div>
        {back && (
          <Link href={back.href} class="back">
            <Icon name="left" size={14} />
            {back.label}
          </Link>
        )}
        <h1 tabIndex={-1}>{title}</h1>
        {about && <p class="muted">{about}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </header>
  );
}

export function Card({ title, about, actions, children, flush }: Kids & { title?: ComponentChildren; about?: ComponentChildren; actions?: ComponentChildren; flush?: boolean }) {
  return (
    <section class={`card${flush ? " flush" : ""}`}>
      {(title || actions) && (
        <header class="card-head">
          <div>
            {title && <h2>{title}</h2>}
            {about && <p class="muted">{about}</p>}
          </div>
          {actions && <div class="actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export function Empty({ icon, title, children, action }: Kids & { icon: IconName; title: string; action?: ComponentChildren }) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} size={26} />
      </span>
      <h2>{title}</h2>
      <div class="muted">{children}</div>
      {action && <div class="actions">{action}</div>}
    </div>
  );
}

const advice: Record<number, string> = {
  0: "",
  403: "Your role or this login does not allow it.",
  429: "Too many requests. Wait a moment, then try again.",
  503: "A service behind is away. Nothing is lost; try again in a moment.",
};

export function Fault({ error, retry }: { error: ApiError; retry?: () => void }) {
  const told = error.status === 403 && error.detail; // by the server, what is not allowed and why
  const wait = error.status === 429 && error.retryAfterS ? `Try again in ${Math.ceil(error.retryAfterS)} s.` : !told && advice[error.status];
  return (
    <div class="fault" role="alert">
      <Icon name="alert" />
      <div>
        <strong>{sentence(error.detail || error.title)}</strong>
        {wait && <p>{wait}</p>}
        {error.requestId && error.status >= 500 && (
          <p class="muted">
            Request <code>{error.requestId}</code>
          </p>
        )}
      </div>
      {retry && (
        <Button small onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// A part that this server has not got.
export function Absent({ what }: { what: string }) {
  return (
    <p class="absent">
      <Icon name="alert" size={16} /> {what} is not available from this server.
    </p>
  );
}

export function NotFound({ what = "page", back }: { what?: string; back?: { href: string; label: string } }) {
  return (
    <Empty icon="search" title={`There is no such ${what}`} action={<Link class="button plain" href={back?.href || "/"}>{back?.label || "Back to the start"}</Link>}>
      It may have been deleted, or the address is wrong.
    </Empty>
  );
}

export function Rows({ n = 6 }: { n?: number }) {
  return (
    <div class="skeleton-rows" aria-hidden="true">
      {Array.from({ length: n }, (_, i) => (
        <div key={i} class="skeleton-row">
          <span class="bone long" />
          <span class="bone" />
          <span class="bone short" />
        </div>
      ))}
    </div>
  );
}

// A page of one thing, before the thing has come: its frame, so that nothing jumps.
export function Loading({ back }: { back: { href: string; label: string } }) {
  return (
    <>
      <PageHead title={<span class="bone title" aria-label="Loading" role="img" />} back={back} about={<span class="bone about" />} />
      <Card>
        <Rows n={8} />
      </Card>
    </>
  );
}

// What is under a list: which page, and the way to the others. Its room is kept.
export function Pager({ of }: { of: Pick<Pages<unknown>, "older" | "newer" | "page" | "loading"> }) {
  if (!of.newer && !of.older) return null;
  return (
    <nav class="pager" aria-label="Pages">
      <Button small icon="left" disabled={!of.newer} onClick={() => of.newer?.()}>
        Newer
      </Button>
      <span class="muted">Page {of.page}</span>
      <Button small disabled={!of.older || of.loading} onClick={() => of.older?.()}>
        Older
      </Button>
    </nav>
  );
}

// ---- forms ----

interface FieldProps extends Kids {
  label: string;
  hint?: ComponentChildren;
  error?: string | null;
}

// A label with its control: children is a function of the ids that tie them.
export function Field({ label, hint, error, render }: Omit<FieldProps, "children"> & { render: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => ComponentChildren }) {
  const id = useId();
  const about = hint || error ? `${id}-about` : undefined;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {render({ id, "aria-describedby": about, "aria-invalid": error ? true : undefined })}
      {(error || hint) && (
        <p id={about} class={error ? "field-error" : "field-hint"}>
          {error || hint}
        </p>
      )}
    </div>
  );
}

type InputProps = Omit<JSX.InputHTMLAttributes<HTMLInputElement>, "label" | "onInput" | "value"> & {
  label: string;
  hint?: ComponentChildren;
  error?: string | null;
  value: string;
  onInput: (value: string) => void;
};

export function Input({ label, hint, error, value, onInput, ...rest }: InputProps) {
  return (
    <Field
      label={label}
      hint={hint}
      error={error}
      render={(ids) => <input class="input" {...ids} {...rest} value={value} onInput={(event) => onInput(event.currentTarget.value)} />}
    />
  );
}

interface SelectProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  options: [string, string][];
  bare?: boolean; // the label is for the screen reader alone
}

export function Select({ label, value, onChange, options, bare }: SelectProps) {
  const id = useId();
  return (
    <div class={bare ? "select-bare" : "field"}>
      <label for={id} class={bare ? "offscreen" : undefined}>
        {label}
      </label>
      <select id={id} class="input" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

// ---- dialogs ----

interface DialogProps extends Kids {
  title: string;
  onClose?: () => void; // none: only what is inside closes it
  wide?: boolean;
  class?: string;
}

export function Dialog({ title, onClose, wide, children, class: extra }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = box.current;
    if (!dialog) return;
    const before = document.activeElement as HTMLElement | null;
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      dialog.close();
      // What had opened it may be gone with what was deleted.
      (before?.isConnected ? before : document.querySelector<HTMLElement>("main h1"))?.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={`dialog${wide ? " wide" : ""}${extra ? ` ${extra}` : ""}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.preventDefault(); // pressed twice, a browser closes it whatever we say
          onClose?.();
        }
      }}
      onMouseDown={(event) => {
        if (event.target === box.current) onClose?.();
      }}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          {onClose && <IconButton icon="close" label="Close" onClick={onClose} />}
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function Tabs({ label, tabs, at, onPick }: { label: string; tabs: [string, string][]; at: string; onPick: (tab: string) => void }) {
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    const i = tabs.findIndex(([key]) => key === at);
    const next = tabs[(i + step + tabs.length) % tabs.length][0];
    onPick(next);
    const list = event.currentTarget as HTMLElement;
    list.querySelector<HTMLElement>(`[data-tab="${next}"]`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map(([key, text]) => (
        <button key={key} type="button" role="tab" data-tab={key} aria-selected={key === at} tabIndex={key === at ? 0 : -1} onClick={() => onPick(key)}>
          {text}
        </button>
      ))}
    </div>
  );
}
