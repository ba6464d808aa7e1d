/** Saving what a chart shows: its numbers as CSV, its picture as SVG or PNG. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { pngOf } from "./picture";

/** Buttons that save a chart under a name. */
export function Saves({ name, rows, svg }: {
  name: string; rows: () => readonly (readonly (string | number)[])[]; svg?: (() => string | undefined) | undefined;
}): JSX.Element {
  const [problem, setProblem] = useState("");
  const savePNG = async (): Promise<void> => {
    const picture = svg!();
    if (picture !== undefined) {
      download(`${name}.png`, await pngOf(picture));
    }
  };
  const button = (kind: string, save: () => void): JSX.Element => (
    <button type="button" class="link" aria-label={`Save as ${kind}`} onClick={save}>{kind}</button>
  );
  return (
    <span class="saves">
      Save: {button("CSV", () => download(`${name}.csv`, new Blob([csv(rows())], { type: "text/csv" })))}
      {svg && <>{" "}{button("SVG", () => download(`${name}.svg`, new Blob([svg() ?? ""], { type: "image/svg+xml" })))}</>}
      {svg && <>{" "}{button("PNG", () => void savePNG().catch((error: unknown) => setProblem(String(error))))}</>}
      {problem !== "" && <span role="alert"> {problem}</span>}
    </span>
  );
}

/** Saves a file. */
function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name.replace(/[^\w.-]+/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Lines of CSV. A text that a spreadsheet would take for a formula gets a `'` before it. */
function csv(rows: readonly (readonly (string | number)[])[]): string {
  const cell = (value: string | number): string => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}
