/** The score by a value of the config: which values are good, and how certain that is. */

import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";

import { ArmStatus } from "podium-client/v1";

import { listMetrics, listScores } from "./api";
import { Chart, type Mark } from "./chart";
import { styleOf } from "./colors";
import { flatConfig, shortPath, valuesByPath, varyingPaths } from "./config";
import { counted, formatNumber } from "./format";
import { MetricField } from "./leaderboard";
import type { Live } from "./live";
import { chartSVG, type Picture } from "./picture";
import { go } from "./route";
import { Saves } from "./saving";
import { type Description, describe } from "./statistics";
import { Choice, Empty, Name, Problem, useCall } from "./ui";

/** With at most this many values, each has a row with its mean and interval. */
const mostValues = 30;
/** With at most this many numbers, the axis has its labels at exactly these. */
const mostTicks = 8;
/** With at most this many groups, each has a colour. */
const mostGroups = 8;
const notSet = "not set";

/** An arm with its value and its score. */
interface Point {
  readonly arm: string;
  readonly group: string | undefined;
  readonly value: string;
  readonly score: number;
}

/** The view of a value of the config against a metric. */
export function Scatter({ route, live }: { route: URLSearchParams; live: Live }): JSX.Element {
  const configs = useMemo(() => new Map([...live.arms].map(([name, arm]) => [name, flatConfig(arm.runConfig)])), [live.arms]);
  const paths = useMemo(() => varyingPaths(valuesByPath(configs.values()), configs.size), [configs]);
  const metric = route.get("metric") ?? live.experiment!.successMetric;
  const metrics = useCall((signal) => listMetrics(live.experiment!.name, signal), [live.experiment!.name]);
  const path = route.get("path") ?? paths.find((each) => each !== "seed" && each !== "tags") ?? paths[0];
  const { value: scores, error } = useCall(
    (signal) => (metric === undefined || !live.hasAllArms
      ? Promise.resolve(undefined)
      : listScores(live.experiment!.name, [metric], signal)),
    [metric, live.version, live.hasAllArms]);
  const { points, left } = useMemo(() => pointsOf(live, configs, path ?? "", scores), [live.arms, configs, path, scores]);
  const places = useMemo(() => placesOf(points), [points]);
  if (!live.hasAllArms) {
    return <Empty>This view needs the configs of all arms. It shows experiments with up to 5,000 arms.</Empty>;
  }
  return (
    <>
      <div class="bar tools">
        <label>Config value{" "}
          <select value={path} onChange={(event) => go({ path: event.currentTarget.value })}>
            {[...new Set([...(path === undefined ? [] : [path]), ...paths])].map((each) => <option key={each} value={each}>{each}</option>)}
          </select>
        </label>
        <MetricField metric={metric ?? ""} metrics={metrics.value ?? []} />
        {places.isNumeric && (
          <Choice label="Scale of the config value" value={isLogX(route, places) ? "1" : "0"} onChange={(logx) => go({ logx })}
            options={[["0", "Linear"], ["1", "Logarithmic"]]} />
        )}
      </div>
      {error !== undefined && <Problem error={error} />}
      {metric === undefined && <Empty>This experiment has no success metric. Choose the metric above.</Empty>}
      {path === undefined && <Empty>No config value differs between the arms.</Empty>}
      {path !== undefined && metric !== undefined && scores && (
        <Drawing {...{ route, live, points, places, left, path, metric }} />
      )}
      {!scores && metric !== undefined && error === undefined && <Empty>Loading …</Empty>}
    </>
  );
}

/** The completed arms with a finite score, and the number of arms left out, by reason. */
function pointsOf(
  live: Live, configs: Map<string, Map<string, string>>, path: string,
  scores: Map<string, (number | undefined)[]> | undefined,
): { points: Point[]; left: Map<string, number> } {
  const points: Point[] = [];
  const left = new Map<string, number>();
  scores?.forEach(([score], arm) => {
    const summary = live.arms.get(arm);
    const reason = summary?.status !== ArmStatus.COMPLETED ? "not completed"
      : score === undefined ? "without a score" : Number.isNaN(score) ? "NaN" : Number.isFinite(score) ? undefined : "infinite";
    if (reason !== undefined) {
      left.set(reason, (left.get(reason) ?? 0) + 1);
    } else {
      points.push({ arm, group: summary!.groupName, value: configs.get(arm)?.get(path) ?? notSet, score: score! });
    }
  });
  return { points, left };
}

/** The values on the x axis and their places. If not all are numbers, they are side by side. */
interface Places {
  readonly values: readonly string[];
  readonly isNumeric: boolean;
  readonly at: (value: string) => number;
}

function placesOf(points: readonly Point[]): Places {
  const values = [...new Set(points.map(({ value }) => value))];
  const isNumeric = values.every((value) => value !== "" && Number.isFinite(Number(value)));
  if (isNumeric) {
    return { values: values.sort((one, other) => Number(one) - Number(other)), isNumeric, at: Number };
  }
  values.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
  const indices = new Map(values.map((value, index) => [value, index]));
  return { values, isNumeric, at: (value) => indices.get(value)! };
}

/** Whether the axis is logarithmic. Unless the URL says, it is if the values span a factor of 50. */
function isLogX(route: URLSearchParams, { values, isNumeric }: Places): boolean {
  const [from, to] = [Number(values[0]), Number(values.at(-1))];
  return isNumeric && (route.has("logx") ? route.get("logx") === "1" : from > 0 && to / from >= 50);
}

function Drawing({ route, live, points, places, left, path, metric }: {
  route: URLSearchParams; live: Live; points: Point[]; places: Places; left: Map<string, number>; path: string; metric: string;
}): JSX.Element {
  const picture = useRef<(() => Picture) | undefined>();
  const isLog = isLogX(route, places);
  const sets = useMemo(() => setsOf(live, points, places), [points]);
  const marks = useMemo(() => sets.map(({ mark }) => mark), [sets]);
  const byValue = useMemo(() => places.values.slice(0, mostValues).map((value) =>
    [value, describe(points.filter((point) => point.value === value).map(({ score }) => score))] as const), [points, places]);
  const hidden = isLog ? points.filter(({ value }) => Number(value) <= 0).length : 0;
  const title = `${metric} by ${path}`;
  return (
    <>
      {points.length === 0 ? <Empty>No completed arm has a score.</Empty> : (
        <figure>
          <figcaption><Name>{metric}</Name> by <Name>{path}</Name>, one dot for each completed arm</figcaption>
          <Chart marks={marks} y={{ title: metric }} picture={picture}
            x={places.isNumeric ? { title: path, isLog, places: places.values.length <= mostTicks ? places.values.map(Number) : undefined } : { title: path, places: places.values.map(places.at), format: (at) => cut(places.values[at] ?? "", places.values.length) }}
            label={`${title}, of ${points.length} arms. The table below has the numbers.`}
            describe={(mark, index) => pointText(sets.find((set) => set.mark === mark)!.points[index]!, path)} />
        </figure>
      )}
      {hidden > 0 && <p class="told">{counted(hidden, "arm")} with 0 or less cannot be shown on a logarithmic scale.</p>}
      <p class="told">
        {counted(points.length, "arm")} shown.{" "}
        {left.size > 0 && `Not shown: ${[...left].map(([reason, count]) => `${count} ${reason}`).join(", ")}. `}
        {marks.length > 1 && "Colours are those of the groups. "}
        <Saves name={title} rows={() => [["arm", "group", path, metric], ...points.map(({ arm, group = "", value, score }) => [arm, group, value, score])]}
          svg={() => picture.current && chartSVG(title, picture.current())} />
      </p>
      {places.values.length <= mostValues
        ? <Values path={path} rows={byValue} />
        : <p class="told">There are {places.values.length} different values. Save the table of all arms as CSV.</p>}
    </>
  );
}

/** The dots, in one colour for each group if there are few, with the arm of each dot. */
function setsOf(live: Live, points: readonly Point[], places: Places): { mark: Mark; points: Point[] }[] {
  const groups = new Set(points.map(({ group }) => group));
  const isColored = groups.size <= mostGroups;
  return [...(isColored ? groups : [undefined])].map((group) => {
    const own = points.filter((point) => !isColored || point.group === group)
      .sort((one, other) => places.at(one.value) - places.at(other.value));
    const style = isColored && group !== undefined ? styleOf(live, group, true) : { color: 0, dash: [] };
    const mark = { name: isColored ? (group ?? "arms") : "arms", ...style, isDots: true, x: own.map(({ value }) => places.at(value)), y: own.map(({ score }) => score) };
    return { mark, points: own };
  });
}

function cut(value: string, count: number): string {
  const most = Math.max(6, Math.floor(90 / count));
  return value.length <= most ? value : `${value.slice(0, most - 1)}…`;
}

function pointText({ arm, value, score }: Point, path: string): string {
  return `${arm}: ${shortPath(path)} ${value}, score ${formatNumber(score)}`;
}

/** The mean and the interval for each value. */
function Values({ path, rows }: { path: string; rows: readonly (readonly [string, Description])[] }): JSX.Element {
  return (
    <div class="scroll short" tabIndex={0} role="region" aria-label="Values">
      <table>
        <thead>
          <tr>
            <th scope="col" class="name"><Name>{path}</Name></th><th scope="col" class="number">Arms</th><th scope="col" class="number">Mean</th>
            <th scope="col">95 % interval</th><th scope="col" class="number">Least</th><th scope="col" class="number">Greatest</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([value, { n, mean, ciLow, ciHigh, min, max }]) => (
            <tr key={value}>
              <td class="name"><Name>{value}</Name></td><td class="number">{n}</td>
              <td class="number">{mean === undefined ? "–" : formatNumber(mean)}</td>
              <td>{ciLow === undefined ? <span class="quiet">one arm</span> : `${formatNumber(ciLow)} to ${formatNumber(ciHigh!)}`}</td>
              <td class="number">{min === undefined ? "–" : formatNumber(min)}</td><td class="number">{max === undefined ? "–" : formatNumber(max)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
