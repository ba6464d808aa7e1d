/** The leaderboard of an experiment: its arms or groups, the best first. */

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";

import { ArmStatus, Direction, type Metric, type RankedArm, type RankedGroup } from "podium-client/v1";

import { listMetrics, listScores } from "./api";
import { flatConfig, shortPath, valuesByPath, varyingPaths } from "./config";
import { counted, formatCount, formatNumber, sourceName, statusName } from "./format";
import { columnsOf, membersOf } from "./leaderboard_columns";
import { armCount, type Live } from "./live";
import { type Query, type Ranking, useRanking } from "./ranking";
import { type Bar, barsSVG } from "./picture";
import { changed, go, linkTo, replace } from "./route";
import { Saves } from "./saving";
import { Choice, Empty, Name, Problem, Search, useCall, VirtualTable } from "./ui";
import { Texts, Verdict } from "./verdict";

/** A ranked arm or group. */
export type Row = RankedArm | RankedGroup;

/** The name of a row: that of the group or, for an arm without a group, that of the arm. */
export function rowName(row: Row): string {
  return "arm" in row ? row.arm : (row.groupName ?? row.firstArm);
}

/** The score of a row. A group's is the mean. */
export function rowScore(row: Row): number | undefined {
  return "arm" in row ? row.score : row.statistics?.mean;
}

/** The statuses in the order of their buttons. */
export const allStatuses = [
  ArmStatus.COMPLETED, ArmStatus.RUNNING, ArmStatus.FAILED, ArmStatus.CANCELLED, ArmStatus.PENDING,
];
const shownPaths = 4;
/** The most rows of a saved picture. */
const mostBars = 300;

/** The view of the ranking. */
export function Leaderboard({ route, live }: { route: URLSearchParams; live: Live }): JSX.Element {
  const experiment = live.experiment!;
  const hasGroups = useMemo(
    () => live.hasAllArms && [...live.arms.values()].some((arm) => arm.groupName !== undefined), [live.arms]);
  const query = useMemo(() => queryOf(route, experiment.name, hasGroups), [route, hasGroups]);
  const { ranking, error, load } = useRanking(query, live.version);
  const metrics = useCall((signal) => listMetrics(experiment.name, signal), [experiment.name]);
  const configs = useMemo(() => configsOf(live), [live.arms]);
  const text = route.get("q") ?? "";
  const isOnly = route.get("only") === "1" && (route.has("pick") || route.has("pickgroup"));
  const rows = useMemo(
    () => filtered(ranking, text, live, configs).filter((row) => !isOnly || isPicked(route, row)),
    [ranking, text, configs, route]);
  const isFiltered = text.trim() !== "" || isOnly;
  // A filter, and the verdict about the runs of a group, need all rows.
  if ((isFiltered || query.groupName !== undefined) && ranking !== undefined && ranking.rows.length < ranking.total) {
    load(ranking.total);
  }
  const columns = useColumns(route, live, isOnly ? configsOfRows(rows, live, configs) : configs, ranking, rows);
  return (
    <>
      {ranking && <Verdict ranking={ranking} configs={configs} />}
      <Texts experiment={experiment} />
      <Toolbar route={route} query={query} metrics={metrics.value ?? []} ranking={ranking} paths={columns.paths} />
      {error !== undefined && (needsMetric(error) ? <ChooseMetric /> : <Problem error={error} />)}
      {ranking && <Told ranking={ranking} rows={rows.length} isFiltered={isFiltered} />}
      {ranking && rows.length === 0 && <Empty>{emptyText(isFiltered, experiment.name, live)}</Empty>}
      {ranking && rows.length > 0 && (
        <VirtualTable label="Leaderboard" columns={columns.columns} rows={rows} keyOf={keyOf}
          total={isFiltered ? rows.length : ranking.total} onEnd={load}
          isNew={(row) => live.version > 1 && "arm" in row && live.news.has(row.arm)} />
      )}
      {!ranking && !error && <Empty>Loading …</Empty>}
    </>
  );
}

function keyOf(row: Row): string {
  return "arm" in row ? row.arm : `${row.groupName === undefined ? "a" : "g"}${rowName(row)}`;
}

/** The ranking that the URL asks for. If there are groups, it ranks them unless the URL has `by=arm`. */
function queryOf(route: URLSearchParams, experiment: string, hasGroups: boolean): Query {
  const groupName = route.get("group") ?? undefined;
  const by = route.get("by") ?? (hasGroups && groupName === undefined ? "group" : "arm");
  const statuses = route.getAll("status").map((name) => ArmStatus[name.toUpperCase() as "FAILED"]);
  const known = statuses.filter((status) => status !== undefined);
  const better = { max: Direction.MAXIMIZE, min: Direction.MINIMIZE }[route.get("better") ?? ""];
  return {
    experiment,
    metric: route.get("metric") ?? undefined,
    direction: better ?? Direction.UNSPECIFIED,
    statuses: known.length > 0 ? known : [ArmStatus.COMPLETED],
    byGroup: by === "group",
    groupName,
  };
}

function configsOf(live: Live): Map<string, Map<string, string>> {
  return new Map([...live.arms].map(([name, arm]) => [name, flatConfig(arm.runConfig)]));
}

/** The configs of the arms of some rows. Columns show only values that differ between them. */
function configsOfRows(
  rows: readonly Row[], live: Live, configs: Map<string, Map<string, string>>,
): Map<string, Map<string, string>> {
  const arms = rows.flatMap((row) =>
    "arm" in row ? [row.arm] : row.groupName === undefined ? [row.firstArm] : membersOf(live, row.groupName));
  return new Map(arms.flatMap((arm) => (configs.has(arm) ? [[arm, configs.get(arm)!]] : [])));
}

/** The rows whose name, group, tags or config values have all words of a text. */
function filtered(
  ranking: Ranking | undefined, text: string, live: Live, configs: Map<string, Map<string, string>>,
): readonly Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return ranking?.rows ?? [];
  }
  return (ranking?.rows ?? []).filter((row) => {
    const arm = "arm" in row ? row.arm : row.firstArm;
    const config = [...(configs.get(arm) ?? [])].map(([path, value]) => `${shortPath(path)}=${value}`);
    const tags = live.arms.get(arm)?.tags ?? [];
    const all = [rowName(row), row.groupName ?? "", ...tags, ...config].join("\n").toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

/** The columns of the table, and the paths that can be columns. */
function useColumns(
  route: URLSearchParams, live: Live, configs: Map<string, Map<string, string>>,
  ranking: Ranking | undefined, rows: readonly Row[],
) {
  const paths = useMemo(() => {
    const found = valuesByPath(configs.values());
    const varying = varyingPaths(found, configs.size);
    return { varying, all: [...varying, ...[...found.keys()].filter((path) => !varying.includes(path))] };
  }, [configs]);
  const byGroup = ranking?.about.groupCounts !== undefined;
  const chosen = route.has("column")
    ? route.getAll("column").filter(Boolean)
    : paths.varying.filter((path) => !(byGroup && path === "seed")).slice(0, route.get("only") === "1" ? 3 * shownPaths : shownPaths);
  const metrics = byGroup ? [] : chosen.filter((name) => name.startsWith("metric:")).map((name) => name.slice(7));
  const scores = useCall(
    (signal) => (metrics.length === 0 || !live.hasAllArms
      ? Promise.resolve(undefined)
      : listScores(live.experiment!.name, metrics, signal)),
    [live.experiment!.name, metrics.join("\n"), live.version],
  );
  const columns = useMemo(
    () => ranking
      ? columnsOf({ route, live, configs, ranking, rows, paths: chosen.filter((name) => !name.startsWith("metric:")), metrics, scores: scores.value })
      : [],
    [route, live.arms, ranking, rows, scores.value],
  );
  return { columns, paths: { ...paths, chosen } };
}

function Toolbar({ route, query, metrics, ranking, paths }: {
  route: URLSearchParams; query: Query; metrics: Metric[]; ranking: Ranking | undefined;
  paths: { varying: string[]; all: string[]; chosen: string[] };
}): JSX.Element {
  const metric = ranking?.about.metric ?? query.metric ?? "";
  const better = ranking?.about.direction === Direction.MINIMIZE ? "min" : "max";
  return (
    <div class="bar tools">
      <MetricField metric={metric} metrics={metrics} />
      <Choice label="Which scores are better" value={better} onChange={(value) => go({ better: value })}
        options={[["max", "Higher is better"], ["min", "Lower is better"]]} />
      <Choice label="Rows" value={query.byGroup ? "group" : "arm"}
        onChange={(by) => go({ by, group: undefined })} options={[["group", "Groups"], ["arm", "Arms"]]} />
      <Statuses query={query} ranking={ranking} />
      {query.groupName !== undefined && (
        <button type="button" class="filter" aria-label={`Group: ${query.groupName}, remove this filter`} onClick={() => go({ group: undefined })}>
          Group: <Name>{query.groupName}</Name> ✕
        </button>
      )}
      <ColumnMenu paths={paths} metrics={query.byGroup ? [] : metrics} />
      <Search label="Filter: name, tag, lr=0.05" value={route.get("q") ?? ""}
        onInput={(q) => replace({ q: q || undefined })} />
      <Compare route={route} />
    </div>
  );
}

/** The field for the metric, with those of the experiment to choose from. */
export function MetricField({ metric, metrics }: { metric: string; metrics: readonly Metric[] }): JSX.Element {
  return (
    <label>Metric{" "}
      <input key={metric} class="metric" list="metrics" defaultValue={metric}
        onChange={(event) => go({ metric: event.currentTarget.value || undefined })} />
      <datalist id="metrics">{metrics.map(({ name }) => <option key={name} value={name} />)}</datalist>
    </label>
  );
}

/** Buttons for the statuses that are ranked, each with the number of arms. */
function Statuses({ query, ranking }: { query: Query; ranking: Ranking | undefined }): JSX.Element {
  const left = ranking?.about.counts?.leftOut;
  const toggle = (status: ArmStatus): void => {
    const has = query.statuses.includes(status);
    const next = has ? query.statuses.filter((each) => each !== status) : [...query.statuses, status];
    go({ status: next.map(statusName) });
  };
  return (
    <div class="choice" role="group" aria-label="Statuses of the ranked arms">
      {allStatuses.map((status) => {
        const name = statusName(status);
        const count = Number(left?.[name as "failed"] ?? 0n);
        const isOn = query.statuses.includes(status);
        return (isOn || count > 0) && (
          <button key={name} type="button" aria-pressed={isOn} onClick={() => toggle(status)}>
            <span class={`status ${name}`}>{name}</span>{!isOn && ` ${formatCount(count)}`}
          </button>
        );
      })}
    </div>
  );
}

function ColumnMenu({ paths, metrics }: {
  paths: { varying: string[]; all: string[]; chosen: string[] }; metrics: Metric[];
}): JSX.Element {
  const toggle = (name: string): void => {
    const { chosen } = paths;
    const next = chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name];
    go({ column: next.length > 0 ? next : "" });
  };
  const item = (name: string, text: string): JSX.Element => (
    <label key={name}>
      <input type="checkbox" checked={paths.chosen.includes(name)} onChange={() => toggle(name)} /> <Name>{text}</Name>
    </label>
  );
  return (
    <details class="menu">
      <summary>Columns</summary>
      <div>
        {paths.varying.length > 0 && <b>Config values that differ</b>}
        {paths.varying.map((path) => item(path, path))}
        {paths.all.length > paths.varying.length && <b>Config values that are equal</b>}
        {paths.all.slice(paths.varying.length).map((path) => item(path, path))}
        {metrics.length > 0 && <b>Metrics</b>}
        {metrics.map(({ name }) => item(`metric:${name}`, name))}
      </div>
    </details>
  );
}

function Compare({ route }: { route: URLSearchParams }): JSX.Element {
  const picked = [...route.getAll("pick"), ...route.getAll("pickgroup")].length;
  return (
    <>
      {picked > 0 && <a class="button" href={linkTo({ view: "curves" }, route)}>Curves of {picked} selected</a>}
      {picked > 0 && (
        <>
          <button type="button" aria-pressed={route.get("only") === "1"} onClick={() => go({ only: route.get("only") === "1" ? undefined : "1" })}>Only selected</button>
          <button type="button" onClick={() => go({ pick: undefined, pickgroup: undefined, only: undefined })}>Clear</button>
        </>
      )}
    </>
  );
}

/** How many rows there are, and where their scores are from. */
function Told({ ranking, rows, isFiltered }: {
  ranking: Ranking; rows: number; isFiltered: boolean;
}): JSX.Element {
  const { about, total } = ranking;
  const noun = about.groupCounts ? "group" : "arm";
  const isSearching = isFiltered && ranking.rows.length < total;
  return (
    <p class="told">
      {isFiltered ? `${counted(rows, noun)} of ${formatCount(total)} match. ` : `${counted(total, noun)}. `}
      {isSearching && `Searched ${formatCount(ranking.rows.length)} so far. `}
      {about.sources.length > 0 && "Scores from "}
      {about.sources.slice(0, 3).map((source, index) => (
        <span key={index}>{index > 0 && ", "}<Name>{sourceName({ ...source, step: undefined })}</Name> ({formatCount(source.scores)})</span>
      ))}
      {about.sources.length > 3 && `, and ${about.sources.length - 3} more`}
      {about.sources.length > 0 && ". "}
      {(about.counts?.nans ?? 0n) > 0n && `${formatCount(about.counts!.nans)} NaN. `}
      {(about.counts?.withoutScore ?? 0n) > 0n && `${formatCount(about.counts!.withoutScore)} without a score. `}
      <Saves name={`leaderboard ${about.metric}`} rows={() => tableOf(ranking)}
        svg={() => barsSVG(`${about.metric}${about.groupCounts ? ": mean and 95 % interval" : ""}`, barsOf(ranking), false)} />
    </p>
  );
}

function tableOf({ rows, about }: Ranking): (string | number)[][] {
  const head = ["rank", "name", about.metric, "n", "ci_low", "ci_high", "group"];
  return [head, ...rows.map((row) => {
    const { n, ciLow, ciHigh } = statisticsOf(row);
    return [row.rank ?? "", rowName(row), rowScore(row) ?? "", n ?? "", ciLow ?? "", ciHigh ?? "", row.groupName ?? ""]
      .map((value) => (typeof value === "bigint" ? Number(value) : value));
  })];
}

function barsOf({ rows }: Ranking): Bar[] {
  return rows.slice(0, mostBars).map((row) => {
    const value = rowScore(row);
    const { ciLow: low, ciHigh: high } = statisticsOf(row);
    return { name: rowName(row), value: value ?? NaN, low, high, text: value === undefined ? "–" : formatNumber(value) };
  });
}

/** The statistics of a row. They are empty for an arm. */
export function statisticsOf(row: Row): { n?: bigint; ciLow?: number; ciHigh?: number } {
  return "arm" in row ? {} : (row.statistics ?? {});
}

function needsMetric(error: unknown): boolean {
  return (error as { reason?: string }).reason === "METRIC_MISSING";
}

function ChooseMetric(): JSX.Element {
  return <Empty>This experiment has no success metric. Choose the metric to rank by.</Empty>;
}

function emptyText(isFiltered: boolean, name: string, live: Live): string {
  if (isFiltered) {
    return "No row matches the filter.";
  }
  return armCount(live.experiment!) === 0 && live.arms.size === 0
    ? `No arm of ${name} has started yet. This page shows it when it does.`
    : "No arm has one of the chosen statuses yet. Choose others above.";
}

/** The route after a row was picked for comparison, or unpicked if it was picked. */
export function withPick(route: URLSearchParams, row: Row): URLSearchParams {
  const kind = "arm" in row || row.groupName === undefined ? "pick" : "pickgroup";
  const name = rowName(row);
  const picked = route.getAll(kind);
  return changed(route, { [kind]: picked.includes(name) ? picked.filter((each) => each !== name) : [...picked, name] });
}

/** Whether a row is picked for comparison. */
export function isPicked(route: URLSearchParams, row: Row): boolean {
  const kind = "arm" in row || row.groupName === undefined ? "pick" : "pickgroup";
  return route.getAll(kind).includes(rowName(row));
}
