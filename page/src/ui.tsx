/** Parts that several views share. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { againMs, isMissing, isTransient } from "./api";
import type { Style } from "./colors";
import { formatAgo } from "./format";

const rowHeight = 36;
/** The number of rows that are drawn above and below the visible rows. */
const spareRows = 8;
/** The most rows of a table that are printed. */
const mostPrinted = 1_000;

/** Of a longer name, the last letters are always shown, even if the whole name has no room. */
const mostLetters = 30;
const lastLetters = 8;

/** A name as it was given. Its direction does not change the text around it. */
export function Name({ children }: { children: string }): JSX.Element {
  const shown = visible(children);
  const letters = shown.length <= mostLetters ? [] : [...shown];
  return letters.length === 0 ? <bdi class="name" title={shown}>{shown}</bdi> : (
    // Names of one experiment often differ at their ends only.
    <bdi class="name long" title={shown}><span>{letters.slice(0, -lastLetters).join("")}</span><span>{letters.slice(-lastLetters).join("")}</span></bdi>
  );
}

/** A text whose bidirectional control characters are shown as codes, so they cannot reorder it. */
function visible(text: string): string {
  return text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (sign) => `⟨U+${sign.charCodeAt(0).toString(16).toUpperCase()}⟩`);
}

/** A square in the colour of an arm or a group. */
export function Swatch({ style }: { style: Style }): JSX.Element {
  return <span class={`swatch c${style.color}`} aria-hidden="true" />;
}

/** A short line in the colour and the dashes of an arm or a group. */
export function LineSample({ style: { color, dash } }: { style: Style }): JSX.Element {
  return (
    <svg class="sample" aria-hidden="true">
      <line class={`c${color}`} x1="0" x2="28" y1="50%" y2="50%" stroke-dasharray={dash.join(" ")} />
    </svg>
  );
}

/** A status as a word and a coloured dot. */
export function Status({ name }: { name: string }): JSX.Element {
  return <span class={`status ${name}`}>{name}</span>;
}

/** A small note, such as a warning beside a score. */
export function Chip({ kind = "", title, children }: {
  kind?: string; title?: string; children: ComponentChildren;
}): JSX.Element {
  return <>{" "}<span class={`chip ${kind}`} title={title}>{children}</span></>;
}

/** How long ago something was, kept up to date. */
export function Ago({ date }: { date: Date | undefined }): JSX.Element {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 10_000);
    return () => clearInterval(timer);
  }, []);
  return date === undefined ? <span class="quiet">–</span> : (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {formatAgo(date, Math.max(now, date.getTime()))}
    </time>
  );
}

/** An error, shown in the place of the results. */
export function Problem({ error, retry }: { error: unknown; retry?: () => void }): JSX.Element {
  const text = error instanceof Error ? error.message : String(error);
  return (
    <div class="problem" role="alert">
      <p>{isMissing(error) ? "There is no such experiment or arm, or your token does not include it." : text}</p>
      {retry && <button type="button" onClick={retry}>Try again</button>}
    </div>
  );
}

/** A text, shown if there is nothing else to show. */
export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

/** A group of buttons of which one is pressed. */
export function Choice<V extends string>({ label, value, options, onChange }: {
  label: string; value: V; options: readonly (readonly [V, string])[]; onChange: (value: V) => void;
}): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([option, text]) => (
        <button key={option} type="button" aria-pressed={option === value} onClick={() => onChange(option)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** A field for a text that is searched for. The key `/` goes to it. */
export function Search({ label, value, onInput }: {
  label: string; value: string; onInput: (value: string) => void;
}): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const find = (event: KeyboardEvent): void => {
      if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
        event.preventDefault();
        field.current?.focus();
      }
    };
    addEventListener("keydown", find);
    return () => removeEventListener("keydown", find);
  }, []);
  return (
    <input ref={field} type="search" aria-label={label} placeholder={`${label}  ( / )`} value={value}
      onInput={(event) => onInput(event.currentTarget.value)} />
  );
}

/** A column of a table. */
export interface Column<T> {
  readonly key: string;
  readonly head: ComponentChildren;
  readonly cell: (row: T, index: number) => ComponentChildren;
  /** A class such as `number`, `name` or `rest`, for its alignment and width. */
  readonly kind?: string;
  readonly sort?: "ascending" | "descending" | undefined;
}

/** A table of any length. The document has only the rows in and near the visible part. */
export function VirtualTable<T>({ label, columns, rows, total = rows.length, keyOf, onEnd, isNew }: {
  label: string; columns: readonly Column<T>[]; rows: readonly T[]; total?: number;
  keyOf: (row: T) => string; onEnd?: (rows: number) => void; isNew?: (row: T) => boolean;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ top: 0, height: 900 });
  /** The first visible row. It keeps its place when rows are added or removed above it. */
  const anchor = useRef<{ key: string; index: number }>();
  const newest = useRef(rows);
  newest.current = rows;
  const look = (): void => {
    const { scrollTop = 0, clientHeight = 900 } = box.current ?? {};
    const index = Math.floor(scrollTop / rowHeight);
    const row = newest.current[index];
    anchor.current = row && { key: keyOf(row), index };
    setPlace((old) => (old.top === scrollTop && old.height === clientHeight ? old : { top: scrollTop, height: clientHeight }));
  };
  useLayoutEffect(() => {
    const { key, index } = anchor.current ?? {};
    const moved = box.current!.scrollTop > 0 && key !== undefined ? rows.findIndex((row) => keyOf(row) === key) : -1;
    if (moved >= 0 && moved !== index) {
      box.current!.scrollTop += (moved - index!) * rowHeight;
    }
    look();
  }, [rows]);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(look);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    // Paper cannot be scrolled, so all rows are drawn before the page is printed.
    const all = (): void => setPlace({ top: 0, height: mostPrinted * rowHeight });
    addEventListener("beforeprint", all);
    addEventListener("afterprint", look);
    return () => {
      removeEventListener("beforeprint", all);
      removeEventListener("afterprint", look);
    };
  }, []);
  const first = Math.max(0, Math.floor(place.top / rowHeight) - spareRows);
  const last = Math.min(total, Math.ceil((place.top + place.height) / rowHeight) + spareRows);
  useEffect(() => {
    if (last > rows.length) {
      onEnd?.(last);
    }
  }, [last, rows.length]);
  const shown = rows.slice(first, last);
  return (
    <div ref={box} class="scroll" tabIndex={0} role="region" aria-label={label} onScroll={look}>
      <table aria-rowcount={total + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map(({ key, head, kind = "", sort }) => (
              <th key={key} scope="col" class={kind} aria-sort={sort}>{head}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Space rows={first} columns={columns.length} />
          {shown.map((row, index) => (
            <tr key={keyOf(row)} aria-rowindex={first + index + 2} class={isNew?.(row) ? "new" : ""}>
              {columns.map(({ key, cell, kind = "" }) => <td key={key} class={kind}>{cell(row, first + index)}</td>)}
            </tr>
          ))}
          <Space rows={total - first - shown.length} columns={columns.length} />
        </tbody>
      </table>
    </div>
  );
}

function Space({ rows, columns }: { rows: number; columns: number }): JSX.Element | null {
  return rows <= 0 ? null : (
    <tr aria-hidden="true" class="space"><td colSpan={columns} style={{ height: rows * rowHeight }} /></tr>
  );
}

/** The result of a call. If one of `inputs` changes, the call is repeated, and the old value stays meanwhile. */
export function useCall<T>(
  call: (signal: AbortSignal) => Promise<T>, inputs: readonly unknown[],
): { value: T | undefined; error: unknown; isLoading: boolean; again: () => void } {
  const [state, setState] = useState<{ value: T | undefined; error: unknown; isLoading: boolean }>(
    { value: undefined, error: undefined, isLoading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const ended = new AbortController();
    let timer = 0;
    setState((old) => ({ ...old, isLoading: true }));
    call(ended.signal).then(
      (value) => !ended.signal.aborted && setState({ value, error: undefined, isLoading: false }),
      (error: unknown) => {
        if (!ended.signal.aborted) {
          setState((old) => ({ ...old, error, isLoading: false }));
          timer = isTransient(error) ? window.setTimeout(() => setTurn((old) => old + 1), againMs) : 0;
        }
      },
    );
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [...inputs, turn]);
  return { ...state, again: () => setTurn((old) => old + 1) };
}
