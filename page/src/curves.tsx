/** Curves of several arms. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { client, listMetrics, reads } from "./api";
import { Chart, type Drawn, summaryOf } from "./chart";
import { colorIndex, dashesOf } from "./colors";
import { type Curve, CurveCache, curveFrom, curveId, curvesOf, curveTitle, type Line } from "./curve_data";
import { formatCount, statusName } from "./format";
import { allStatuses } from "./leaderboard";
import { membersOf } from "./leaderboard_columns";
import type { Live } from "./live";
import { changed, go, linkTo } from "./route";
import { Choice, csv, download, Empty, Name, Problem, Status, useCall } from "./ui";

const firstArms = 8;
const mostArms = 50;
const atOnce = 4;

/** The view of curves: those of the selected arms, or of the best ones. */
export function Curves({ route, live }: { route: URLSearchParams; live: Live }): JSX.Element {
  const experiment = live.experiment!.name;
  const metrics = useCall(
    async (signal) => curvesOf(await listMetrics(experiment, signal)), [experiment, live.hasAllArms]);
  const curve = curveFrom(route.get("curve")) ?? metrics.value?.[0];
  const arms = useArms(route, live);
  const { lines, error, isLoading } = useLines(live, arms.value ?? [], curve);
  const isPicked = route.has("pick") || route.has("pickgroup");
  return (
    <>
      <Tools route={route} curves={metrics.value ?? []} curve={curve} />
      {(metrics.error ?? arms.error ?? error) !== undefined && <Problem error={metrics.error ?? arms.error ?? error} />}
      {metrics.value?.length === 0 && <Empty>No metric has been recorded yet.</Empty>}
      {!isPicked && (arms.value?.length ?? 0) > 0 && (
        <p class="told">
          {live.arms.size <= firstArms && live.hasAllArms ? "All arms." : `The first ${arms.value!.length} arms of the leaderboard.`} Select others there.
        </p>
      )}
      {curve && lines.length > 0 && <Drawing route={route} curve={curve} lines={lines} live={live} />}
      {(isLoading || metrics.isLoading) && lines.length === 0 && metrics.value?.length !== 0 && <Empty>Loading …</Empty>}
    </>
  );
}

/** The names of the arms to show. */
function useArms(route: URLSearchParams, live: Live) {
  const picked = route.getAll("pick");
  const groups = route.getAll("pickgroup");
  const experiment = live.experiment!.name;
  const members = groups.flatMap((group) => membersOf(live, group));
  return useCall(async (signal) => {
    const named = [...new Set([...picked, ...members])];
    if (picked.length + groups.length > 0) {
      return named.slice(0, mostArms);
    }
    if (live.hasAllArms && live.arms.size <= firstArms) {
      return [...live.arms.keys()];
    }
    const metric = route.get("metric") ?? live.experiment!.successMetric;
    const request = { experiment, metric, statuses: allStatuses, pageSize: firstArms };
    return metric === undefined
      ? [...live.arms.keys()].slice(0, firstArms)
      : (await client.call(reads.rank, request, { signal })).arms.map((row) => row.arm);
  }, [experiment, picked.join("\n"), groups.join("\n"), members.length, live.arms.size]);
}

/** The lines of the arms, loaded a few at a time, and again when an arm has changed. */
function useLines(live: Live, arms: readonly string[], curve: Curve | undefined) {
  const [state, setState] = useState<{ lines: Line[]; error: unknown; isLoading: boolean }>(
    { lines: [], error: undefined, isLoading: true });
  const cache = useRef(new CurveCache());
  const id = curve && curveId(curve);
  const revisions = arms.map((arm) => live.arms.get(arm)?.revision ?? "").join();
  useEffect(() => {
    if (curve === undefined) {
      return undefined;
    }
    const ended = new AbortController();
    const load = async (): Promise<void> => {
      const lines: Line[] = [];
      for (let first = 0; first < arms.length; first += atOnce) {
        const part = arms.slice(first, first + atOnce).map((arm) =>
          cache.current.line(live.experiment!.name, live.arms.get(arm) ?? arm, curve, ended.signal));
        lines.push(...await Promise.all(part));
      }
      setState({ lines, error: undefined, isLoading: false });
    };
    load().catch((error: unknown) =>
      !ended.signal.aborted && setState((old) => ({ ...old, error, isLoading: false })));
    return () => ended.abort();
  }, [arms.join("\n"), id, revisions]);
  return state;
}

function Tools({ route, curves, curve }: {
  route: URLSearchParams; curves: Curve[]; curve: Curve | undefined;
}): JSX.Element {
  const options = curve && !curves.some((each) => curveId(each) === curveId(curve)) ? [curve, ...curves] : curves;
  return (
    <div class="bar tools">
      <a class="button" href={linkTo({ view: undefined }, route)}>Leaderboard</a>
      <label>Curve{" "}
        <select value={curve && curveId(curve)} onChange={(event) => go({ curve: event.currentTarget.value })}>
          {options.map((each) => <option key={curveId(each)} value={curveId(each)}>{curveTitle(each)}</option>)}
        </select>
      </label>
      <Choice label="Scale" value={route.get("log") === "1" ? "1" : "0"} onChange={(log) => go({ log })}
        options={[["0", "Linear"], ["1", "Logarithmic"]]} />
    </div>
  );
}

function Drawing({ route, curve, lines, live }: {
  route: URLSearchParams; curve: Curve; lines: Line[]; live: Live;
}): JSX.Element {
  const [drawn, setDrawn] = useState<Drawn[]>([]);
  const canvas = useRef<HTMLCanvasElement | null>(null);
  const isLog = route.get("log") === "1";
  const shown = useMemo(() => lines.filter((line) => line.x.length > 0), [lines]);
  const hidden = shown.reduce((count, line) => count + line.y.filter((value) => value <= 0).length, 0);
  const title = curveTitle(curve);
  return (
    <>
      {shown.length === 0 ? <Empty>None of these arms has points of {title} by step.</Empty> : (
        <figure>
          <figcaption><Name>{title}</Name> by step</figcaption>
          <Chart lines={shown} isLog={isLog} label={`${title} by step, of ${shown.length} arms. The table below has the numbers.`}
            onDrawn={setDrawn} canvas={canvas} />
        </figure>
      )}
      {isLog && hidden > 0 && <p class="told">{formatCount(hidden)} points of 0 or less cannot be shown on a logarithmic scale.</p>}
      <p class="told">
        Drag over the drawing to magnify a range; double-click to show all of it. Lines are not smoothed.{" "}
        <button type="button" class="link" onClick={() => saveCSV(title, lines)}>CSV</button>{" "}
        {shown.length > 0 && <button type="button" class="link" onClick={() => savePNG(title, canvas.current)}>PNG</button>}
      </p>
      <Legend route={route} lines={lines} drawn={drawn} live={live} />
    </>
  );
}

function Legend({ route, lines, drawn, live }: {
  route: URLSearchParams; lines: Line[]; drawn: Drawn[]; live: Live;
}): JSX.Element {
  const dashes = dashesOf(lines.filter((line) => line.x.length > 0).map(({ arm }) => arm));
  const shown = lines.filter((line) => line.x.length > 0).map(({ arm }) => arm);
  return (
    <div class="scroll short" tabIndex={0} role="region" aria-label="Lines">
      <table>
        <thead>
          <tr>
            <th scope="col" class="name">Arm</th><th scope="col">Status</th><th scope="col" class="number">Last</th>
            <th scope="col" class="number">Least</th><th scope="col" class="number">Greatest</th><th scope="col">Points drawn</th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => {
            const { last, least, most, notes } = summaryOf(line);
            const status = live.arms.get(line.arm)?.status;
            const count = drawn.find(({ arm }) => arm === line.arm);
            return (
              <tr key={line.arm}>
                <td class="name">
                  <LineSample name={line.arm} dash={dashes[shown.indexOf(line.arm)] ?? []} />
                  <a href={linkTo({ arm: line.arm }, changed(route, { view: undefined }))}><Name>{line.arm}</Name></a>
                </td>
                <td>{status !== undefined && <Status name={statusName(status)} />}</td>
                <td class="number">{last}</td><td class="number">{least}</td><td class="number">{most}</td>
                <td>
                  {line.x.length === 0 ? <span class="quiet">none by step</span> : pointsText(count)}
                  {notes.length > 0 && ` (${notes.join(", ")})`}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function pointsText(count: Drawn | undefined): string {
  if (count === undefined) {
    return "";
  }
  const { drawn, inSight } = count;
  return drawn === inSight ? `all ${formatCount(inSight)}` : `${formatCount(drawn)} of ${formatCount(inSight)} points`;
}

function LineSample({ name, dash }: { name: string; dash: number[] }): JSX.Element {
  return (
    <svg class="sample" aria-hidden="true">
      <line class={`c${colorIndex(name)}`} x1="0" x2="28" y1="50%" y2="50%" stroke-dasharray={dash.join(" ")} />
    </svg>
  );
}

function saveCSV(title: string, lines: Line[]): void {
  const rows = lines.flatMap(({ arm, x, y }) => x.map((step, index) => [arm, step, y[index]!]));
  download(`${title}.csv`, [csv([["arm", "step", title], ...rows])], "text/csv");
}

function savePNG(title: string, canvas: HTMLCanvasElement | null): void {
  canvas?.toBlob((blob) => blob && download(`${title}.png`, [blob], "image/png"));
}
