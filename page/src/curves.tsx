/** Curves of several arms or groups. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { ArmStatus } from "podium-client/v1";

import { againMs, client, isTransient, listMetrics, reads } from "./api";
import { Chart, type Drawn, type Mark } from "./chart";
import { styleOf } from "./colors";
import { type ArmPoints, type Curve, CurveCache, curveFrom, curveId, curvesOf, curveTitle } from "./curve_data";
import { type Line, lineOf, smoothed, type Unit, type XAxis } from "./curve_lines";
import { counted, formatCount, formatNumber, formatSeconds, statusName } from "./format";
import { allStatuses } from "./leaderboard";
import { membersOf } from "./leaderboard_columns";
import type { Live } from "./live";
import { chartSVG, type Picture } from "./picture";
import { changed, go, linkTo } from "./route";
import { Saves } from "./saving";
import { greatest, least } from "./statistics";
import { Choice, Empty, LineSample, Name, Problem, Status, useCall } from "./ui";

const firstUnits = 8;
const mostUnits = 50;
const mostArms = 400;
const atOnce = 4;
/** The weights that smoothing offers. */
const weights: readonly (readonly [string, string])[] = [["0", "None"], ["0.6", "Light"], ["0.9", "Strong"]];
/** The statuses of a group's arms that are part of its mean, as in `podium curve --by-group`. */
const curved = [ArmStatus.RUNNING, ArmStatus.COMPLETED];

/** How the curves are drawn, from the URL. */
interface Look {
  readonly curve: Curve;
  readonly xAxis: XAxis;
  readonly isLog: boolean;
  readonly weight: number;
}

/** The view of curves: those of the selected arms and groups, or of the best ones. */
export function Curves({ route, live }: { route: URLSearchParams; live: Live }): JSX.Element {
  const experiment = live.experiment!.name;
  const metrics = useCall(
    async (signal) => curvesOf(await listMetrics(experiment, signal)), [experiment, live.hasAllArms]);
  const curve = curveFrom(route.get("curve")) ?? metrics.value?.[0];
  const units = useUnits(route, live);
  const { points, error, isLoading } = useArmPoints(live, units.value ?? [], curve);
  const look = curve && lookOf(route, curve);
  const lines = useMemo(
    () => look && points && (units.value ?? []).map((unit) =>
      lineOf(unit, unit.arms.flatMap((arm) => points.get(arm) ?? []), look.xAxis)),
    [points, look?.xAxis]);
  const problem = metrics.error ?? units.error ?? error;
  return (
    <>
      <Tools route={route} live={live} curves={metrics.value ?? []} curve={curve} />
      {problem !== undefined && <Problem error={problem} />}
      {metrics.value?.length === 0 && <Empty>No metric has been recorded yet.</Empty>}
      <Chosen route={route} live={live} units={units.value ?? []} />
      {look && lines && lines.length > 0 && <Drawing route={route} look={look} lines={lines} live={live} />}
      {(isLoading || metrics.isLoading) && !lines && metrics.value?.length !== 0 && <Empty>Loading …</Empty>}
    </>
  );
}

function lookOf(route: URLSearchParams, curve: Curve): Look {
  const weight = Number(route.get("smooth") ?? 0);
  return {
    curve,
    xAxis: route.get("x") === "time" && curve.evalName !== undefined ? "time" : "step",
    isLog: route.get("log") === "1",
    weight: weight > 0 && weight < 1 ? weight : 0,
  };
}

/** Whether groups are drawn: some are selected, or nothing is selected and there are groups. */
function showsGroups(route: URLSearchParams, live: Live): boolean {
  const asked = route.get("lines");
  return asked === null
    ? route.has("pickgroup") || (!route.has("pick") && hasGroups(live))
    : asked === "group" && hasGroups(live);
}

function hasGroups(live: Live): boolean {
  return live.hasAllArms && [...live.arms.values()].some(({ groupName }) => groupName !== undefined);
}

function unitOfGroup(live: Live, name: string): Unit {
  const arms = membersOf(live, name).filter((arm) => curved.includes(live.arms.get(arm)!.status));
  return { name, isGroup: true, arms };
}

function unitOfArm(name: string): Unit {
  return { name, isGroup: false, arms: [name] };
}

/** The selected arms and groups, or else the first ones of the leaderboard. */
function useUnits(route: URLSearchParams, live: Live) {
  const byGroup = showsGroups(route, live);
  const picked = route.getAll("pick");
  const groups = route.getAll("pickgroup");
  const metric = route.get("metric") ?? live.experiment!.successMetric;
  // Changes if a group gets an arm or an arm's status changes. Then the groups are drawn again.
  const members = byGroup || groups.length > 0 ? [...live.arms.values()].map((arm) => `${arm.groupName} ${arm.status}`).join() : "";
  return useCall(async (signal) => {
    const found = picked.length + groups.length > 0 ? selected(picked, groups, byGroup, live) : await firstOnes(live, metric, byGroup, signal);
    let arms = 0;
    return found.slice(0, mostUnits).filter((unit) => (arms += unit.arms.length) <= mostArms || unit === found[0]);
  }, [live.experiment!.name, picked.join("\n"), groups.join("\n"), byGroup, metric, members, live.hasAllArms, live.hasAllArms ? live.arms.size : 0]);
}

function selected(picked: string[], groups: string[], byGroup: boolean, live: Live): Unit[] {
  const arms = byGroup ? picked : [...picked, ...groups.flatMap((group) => membersOf(live, group))];
  return [...(byGroup ? groups.map((group) => unitOfGroup(live, group)) : []), ...[...new Set(arms)].map(unitOfArm)];
}

async function firstOnes(live: Live, metric: string | undefined, byGroup: boolean, signal: AbortSignal): Promise<Unit[]> {
  const experiment = live.experiment!.name;
  if (!byGroup && (metric === undefined || (live.hasAllArms && live.arms.size <= firstUnits))) {
    return [...live.arms.keys()].slice(0, firstUnits).map(unitOfArm);
  }
  if (metric === undefined) {
    const names = new Set([...live.arms.values()].flatMap(({ groupName }) => groupName ?? []));
    return [...names].slice(0, firstUnits).map((name) => unitOfGroup(live, name));
  }
  const request = { experiment, metric, statuses: byGroup ? [ArmStatus.COMPLETED] : allStatuses, pageSize: firstUnits, byGroup };
  const { arms, groups } = await client.call(reads.rank, request, { signal });
  return byGroup
    ? groups.map((row) => (row.groupName === undefined ? unitOfArm(row.firstArm) : unitOfGroup(live, row.groupName)))
    : arms.map((row) => unitOfArm(row.arm));
}

/** The points of the arms, loaded a few at a time, and again when an arm has changed. */
function useArmPoints(live: Live, units: readonly Unit[], curve: Curve | undefined) {
  const [state, setState] = useState<{ points: Map<string, ArmPoints> | undefined; error: unknown; isLoading: boolean }>(
    { points: undefined, error: undefined, isLoading: true });
  const [turn, setTurn] = useState(0);
  const cache = useRef(new CurveCache());
  const arms = [...new Set(units.flatMap((unit) => unit.arms))];
  const revisions = arms.map((arm) => live.arms.get(arm)?.revision ?? "").join();
  useEffect(() => {
    if (curve === undefined || units.length === 0) {
      return undefined;
    }
    const ended = new AbortController();
    let timer = 0;
    const load = async (): Promise<void> => {
      const points = new Map<string, ArmPoints>();
      for (let first = 0; first < arms.length; first += atOnce) {
        await Promise.all(arms.slice(first, first + atOnce).map(async (arm) => {
          const known = live.arms.get(arm) ?? arm;
          points.set(arm, await cache.current.points(live.experiment!.name, known, curve, ended.signal));
        }));
      }
      setState({ points, error: undefined, isLoading: false });
    };
    load().catch((error: unknown) => {
      if (!ended.signal.aborted) {
        setState((old) => ({ ...old, error, isLoading: false }));
        timer = isTransient(error) ? window.setTimeout(() => setTurn((old) => old + 1), againMs) : 0;
      }
    });
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [JSON.stringify(units), curve && curveId(curve), revisions, turn]);
  return state;
}

function Tools({ route, live, curves, curve }: {
  route: URLSearchParams; live: Live; curves: Curve[]; curve: Curve | undefined;
}): JSX.Element {
  const options = curve && !curves.some((each) => curveId(each) === curveId(curve)) ? [curve, ...curves] : curves;
  const look = curve && lookOf(route, curve);
  return (
    <div class="bar tools">
      <label>Curve{" "}
        <select value={curve && curveId(curve)} onChange={(event) => go({ curve: event.currentTarget.value })}>
          {options.map((each) => <option key={curveId(each)} value={curveId(each)}>{curveTitle(each)}</option>)}
        </select>
      </label>
      {hasGroups(live) && (
        <Choice label="Lines" value={showsGroups(route, live) ? "group" : "arm"} onChange={(lines) => go({ lines })}
          options={[["group", "Groups"], ["arm", "Arms"]]} />
      )}
      {curve?.evalName !== undefined && (
        <Choice label="X axis" value={look!.xAxis} onChange={(x) => go({ x })} options={[["step", "By step"], ["time", "By time"]]} />
      )}
      <Choice label="Scale" value={look?.isLog ? "1" : "0"} onChange={(log) => go({ log })}
        options={[["0", "Linear"], ["1", "Logarithmic"]]} />
      <label>Smoothing{" "}
        <select value={String(look?.weight ?? 0)} onChange={(event) => go({ smooth: event.currentTarget.value === "0" ? undefined : event.currentTarget.value })}>
          {weights.map(([weight, text]) => <option key={weight} value={weight}>{text}</option>)}
          {look && !weights.some(([weight]) => weight === String(look.weight)) && <option value={String(look.weight)}>{look.weight}</option>}
        </select>
      </label>
    </div>
  );
}

/** A note about the drawn arms or groups, if they are not exactly those that the user selected. */
function Chosen({ route, live, units }: { route: URLSearchParams; live: Live; units: readonly Unit[] }): JSX.Element | null {
  const count = route.getAll("pick").length + route.getAll("pickgroup").length;
  const noun = units.every(({ isGroup }) => isGroup) ? "group" : "arm";
  if (units.length === 0) {
    return null;
  }
  if (count > 0) {
    return count > units.length && showsGroups(route, live) ? <p class="told">The first {units.length} of {count} selected.</p> : null;
  }
  const isAll = noun === "arm" && live.hasAllArms && live.arms.size <= firstUnits;
  return <p class="told">{isAll ? "All arms." : `The first ${counted(units.length, noun)} of the leaderboard.`} <a href={linkTo({ view: undefined }, route)}>Select others there.</a></p>;
}

function Drawing({ route, look, lines, live }: {
  route: URLSearchParams; look: Look; lines: Line[]; live: Live;
}): JSX.Element {
  const [drawn, setDrawn] = useState<Drawn[]>([]);
  const picture = useRef<(() => Picture) | undefined>();
  const { curve, xAxis, isLog, weight } = look;
  const shown = useMemo(() => lines.filter((line) => line.x.length > 0), [lines]);
  const smooth = useMemo(() => (weight === 0 ? shown : shown.map((line) => smoothed(line, weight))), [shown, weight]);
  const marks = useMemo(() => marksOf(live, shown, smooth, weight > 0), [shown, smooth]);
  const hidden = smooth.reduce((count, line) => count + line.y.filter((value) => value <= 0).length, 0);
  const title = curveTitle(curve);
  const by = xAxis === "time" ? "time since the start of the arm" : "step";
  const isGrouped = shown.some(({ isGroup }) => isGroup);
  const format = xAxis === "time" ? { format: formatSeconds } : { isInteger: true };
  return (
    <>
      {shown.length === 0 ? <Empty>None of these has points of {title} by step.</Empty> : (
        <figure>
          <figcaption><Name>{title}</Name> by {by}{isGrouped && ": mean and 95 % interval of the runs of each group"}</figcaption>
          <Chart marks={marks} x={{ title: by, ...format }} y={{ title, isLog }}
            label={`${title} by ${by}, of ${shown.length} lines. The table below has the numbers.`}
            onDrawn={(found) => setDrawn(weight > 0 ? found.filter((_each, index) => index % 2 === 1) : found)}
            describe={(mark, index) => pointText(shown.find(({ name }) => name === mark.name)!, mark, index, xAxis)} picture={picture} />
        </figure>
      )}
      {xAxis === "time" && shown.length > 0 && shown.every((line) => line.x.every((x) => x === 0)) && (
        <p class="told">All points of each line have one time: the rows were recorded at once, without their own times.</p>
      )}
      {isLog && hidden > 0 && <p class="told">{formatCount(hidden)} points of 0 or less cannot be shown on a logarithmic scale.</p>}
      <p class="told">
        <span class="hint">Drag over the drawing to magnify a range; double-click to show all of it.{" "}</span>
        {weight > 0 ? `Lines${isGrouped ? " and intervals" : ""} are smoothed (exponential mean with the weight ${weight}); thin lines are not.` : "Lines are not smoothed."}{" "}
        <Saves name={title} rows={() => tableOf(title, lines)} svg={() => picture.current && chartSVG(`${title} by ${by}`, picture.current())} />
      </p>
      <Legend route={route} lines={lines} drawn={new Map(shown.map((line, index) => [line, drawn[index]]))} live={live} />
    </>
  );
}

/** The drawn lines. If they are smoothed, the recorded lines are drawn behind them. */
function marksOf(live: Live, shown: readonly Line[], smooth: readonly Line[], isSmoothed: boolean): Mark[] {
  return shown.flatMap((line, index): Mark[] => {
    const style = styleOf(live, line.name, line.isGroup);
    const { name, x, y, low, high } = smooth[index]!;
    const main = { name, x, y, ...style, ...(low && high ? { low, high } : {}) };
    return isSmoothed ? [{ name, x, y: line.y, ...style, isFaint: true }, main] : [main];
  });
}

function pointText(line: Line, mark: Mark, index: number, xAxis: XAxis): string {
  const value = formatNumber(mark.y[index]!);
  const step = `step ${formatCount(line.steps[index]!)}`;
  const place = xAxis === "time" ? `${formatSeconds(mark.x[index]!)} (${step})` : step;
  const [low, high, n] = [mark.low?.[index], mark.high?.[index], line.n?.[index]];
  const interval = low === undefined || Number.isNaN(low) ? "" : ` (95 % interval ${formatNumber(low)} to ${formatNumber(high!)})`;
  return `${line.name}, ${place}: ${value}${interval}${n === undefined ? "" : `, ${counted(n, "run")}`}`;
}

function Legend({ route, lines, drawn, live }: {
  route: URLSearchParams; lines: Line[]; drawn: Map<Line, Drawn | undefined>; live: Live;
}): JSX.Element {
  const hasGroup = lines.some(({ isGroup }) => isGroup);
  return (
    <div class="scroll short" tabIndex={0} role="region" aria-label="Lines">
      <table>
        <thead>
          <tr>
            <th scope="col" class="name">{hasGroup ? "Group" : "Arm"}</th><th scope="col">{hasGroup ? "Runs" : "Status"}</th>
            <th scope="col" class="number">Last</th>{hasGroup && <th scope="col">95 % interval</th>}
            <th scope="col" class="number">Least</th><th scope="col" class="number">Greatest</th><th scope="col">Points drawn</th>
          </tr>
        </thead>
        <tbody>{lines.map((line) => <LegendRow key={`${line.isGroup}${line.name}`} {...{ route, line, hasGroup, live }} drawn={drawn.get(line)} />)}</tbody>
      </table>
    </div>
  );
}

function LegendRow({ route, line, hasGroup, drawn, live }: {
  route: URLSearchParams; line: Line; hasGroup: boolean; drawn: Drawn | undefined; live: Live;
}): JSX.Element {
  const { name, isGroup, arms, y, low, high, n } = line;
  const numbers = y.filter(Number.isFinite);
  const number = (value: number): string => (numbers.length > 0 ? formatNumber(value) : "–");
  const status = live.arms.get(name)?.status;
  const last = y.length - 1;
  const href = isGroup
    ? linkTo({ view: undefined, by: "arm", group: name, status: allStatuses.map(statusName) }, route)
    : linkTo({ arm: name }, changed(route, { view: undefined }));
  const hasInterval = low !== undefined && last >= 0 && !Number.isNaN(low[last]!);
  return (
    <tr>
      <td class="name"><LineSample style={styleOf(live, name, isGroup)} /><a href={href}><Name>{name}</Name></a></td>
      <td>{isGroup ? runsText(live, line) : status !== undefined && <Status name={statusName(status)} />}</td>
      <td class="number">{last >= 0 ? formatNumber(y[last]!) : "–"}</td>
      {hasGroup && <td>{hasInterval ? `${formatNumber(low[last]!)} to ${formatNumber(high![last]!)}${n![last]! < arms.length ? `, ${counted(n![last]!, "run")}` : ""}` : <span class="quiet">{n?.[last] === 1 ? "one run" : "–"}</span>}</td>}
      <td class="number">{number(least(numbers))}</td><td class="number">{number(greatest(numbers))}</td>
      <td>{y.length === 0 ? <span class="quiet">none by step</span> : pointsText(drawn)}{notesText(line)}</td>
    </tr>
  );
}

/** How many arms of a group are part of its mean, and how many are not, by status. */
function runsText(live: Live, { name, arms }: Line): string {
  const all = membersOf(live, name).map((arm) => statusName(live.arms.get(arm)!.status));
  const left = allStatuses.filter((status) => !curved.includes(status)).map(statusName)
    .map((status) => [all.filter((each) => each === status).length, status] as const).filter(([count]) => count > 0);
  return [`${arms.length} of ${all.length}`, ...left.map(([count, status]) => `${count} ${status}`)].join(", ");
}

function pointsText(count: Drawn | undefined): string {
  if (count === undefined) {
    return "";
  }
  const { drawn, inSight } = count;
  return drawn === inSight ? `all ${formatCount(inSight)}` : `${formatCount(drawn)} of ${formatCount(inSight)} points`;
}

function notesText({ y, nans: counts, isGroup }: Line): string {
  const nans = isGroup ? counts!.reduce((sum, count) => sum + count, 0) : y.filter(Number.isNaN).length;
  const infinite = y.filter((value) => Math.abs(value) === Infinity).length;
  const notes = [...(nans > 0 ? [`${nans} NaN`] : []), ...(infinite > 0 ? [`${infinite} infinite`] : [])];
  return notes.length > 0 ? ` (${notes.join(", ")})` : "";
}

/** The numbers of all lines, as recorded and without smoothing. */
function tableOf(title: string, lines: readonly Line[]): (string | number)[][] {
  const head = ["name", "step", "x", title, "ci_low", "ci_high", "n", "nan"];
  const cell = (value: number | undefined): string | number => (value === undefined || Number.isNaN(value) ? "" : value);
  return [head, ...lines.flatMap((line) => line.x.map((x, index) => [
    line.name, line.steps[index]!, cell(x), line.y[index]!, cell(line.low?.[index]), cell(line.high?.[index]),
    line.n?.[index] ?? "", line.nans?.[index] ?? "",
  ]))];
}
