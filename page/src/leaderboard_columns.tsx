/** The columns of a leaderboard. */

import type { JSX } from "preact";

import { RankFlag, type RankedGroup } from "podium-client/v1";

import { styleOf } from "./colors";
import { shortPath } from "./config";
import { dateOf, formatNumber, sourceName, statusName } from "./format";
import { allStatuses, isPicked, type Row, rowName, rowScore, statisticsOf, withPick } from "./leaderboard";
import type { Live } from "./live";
import type { Ranking } from "./ranking";
import { changed, go, linkTo } from "./route";
import { Ago, Chip, type Column, Name, Status, Swatch } from "./ui";

/** What the columns show. */
export interface Shown {
  readonly route: URLSearchParams;
  readonly live: Live;
  readonly configs: Map<string, Map<string, string>>;
  readonly ranking: Ranking;
  readonly rows: readonly Row[];
  readonly paths: readonly string[];
  readonly metrics: readonly string[];
  /** The scores of the metrics, by arm. */
  readonly scores: Map<string, (number | undefined)[]> | undefined;
}

/** The columns, from the left. */
export function columnsOf(shown: Shown): Column<Row>[] {
  const { route, live, ranking } = shown;
  const scale = scaleOf(shown.rows);
  const byGroup = ranking.about.groupCounts !== undefined;
  const columns: Column<Row>[] = [
    { key: "rank", head: "#", kind: "number rank", cell: (row) => row.rank?.toString() ?? "–" },
    { key: "name", head: byGroup ? "Group" : "Arm", kind: "name", cell: (row) => <NameCell route={route} row={row} live={live} /> },
    { key: "score", head: <Name>{ranking.about.metric}</Name>, kind: "number score", cell: (row) => <Score row={row} /> },
    { key: "plot", head: byGroup ? "Mean and 95 % interval" : "Score", kind: "plot", cell: (row) => <Plot row={row} scale={scale} /> },
    byGroup
      ? { key: "members", head: "Runs", cell: (row) => <Members row={row as RankedGroup} /> }
      : { key: "source", head: "From", cell: (row) => <Source row={row} /> },
    ...shown.paths.map((path): Column<Row> => ({
      key: path, head: <span title={path}><Name>{shortPath(path)}</Name></span>, cell: (row) => configCell(shown, row, path),
    })),
  ];
  if (!byGroup) {
    columns.push(...metricColumns(shown));
    columns.push({ key: "status", head: "Status", cell: (row) => "arm" in row && <Status name={statusName(row.status)} /> });
    columns.push({
      key: "heard", head: "Last heard",
      cell: (row) => <Ago date={dateOf(live.arms.get(rowName(row))?.lastHeard ?? live.arms.get(rowName(row))?.updateTime)} />,
    });
  }
  return columns;
}

function NameCell({ route, row, live }: { route: URLSearchParams; row: Row; live: Live }): JSX.Element {
  const name = rowName(row);
  const isArm = "arm" in row || row.groupName === undefined;
  const href = isArm
    ? linkTo({ arm: name }, changed(route, { view: undefined }))
    : linkTo({ by: "arm", group: name, q: undefined, status: allStatuses.map(statusName) }, route);
  return (
    <>
      <input type="checkbox" aria-label={`Select ${name}`} checked={isPicked(route, row)}
        onChange={() => { location.hash = withPick(route, row).toString(); }} />
      <Swatch style={styleOf(live, name, !isArm)} />
      <a href={href}><Name>{name}</Name></a>
    </>
  );
}

function Score({ row }: { row: Row }): JSX.Element {
  const score = rowScore(row);
  return score === undefined
    ? <span class="quiet">{"arm" in row ? "no score" : "no mean"}</span>
    : <b title={String(score)}>{formatNumber(score)}</b>;
}

function Source({ row }: { row: Row }): JSX.Element {
  const source = "arm" in row ? row.source : undefined;
  return (
    <>
      {source ? <Name>{sourceName(source)}</Name> : <span class="quiet">–</span>}
      <Flags flags={row.flags} />
    </>
  );
}

function Members({ row }: { row: RankedGroup }): JSX.Element {
  const notes: [bigint, string, string][] = [
    [row.nans, "NaN", "bad"], [row.missing, "missing", "warn"], [row.failed, "failed", "bad"], [row.leftOut, "left out", ""],
  ];
  return (
    <>
      <span class="number" title="Runs whose score is a number, of all runs of the group">
        {(row.statistics?.n ?? 0n).toString()} of {row.members.toString()}
      </span>
      {notes.map(([count, text, kind]) => count > 0n && <Chip key={text} kind={kind}>{count.toString()} {text}</Chip>)}
      <Flags flags={row.flags.filter((flag) => flag !== RankFlag.NAN)} />
    </>
  );
}

function Flags({ flags }: { flags: readonly RankFlag[] }): JSX.Element {
  return (
    <>
      {flags.includes(RankFlag.BENCHMARKS_DIFFER) && (
        <Chip kind="warn" title="The rows of this eval have different benchmark_ids">benchmarks differ</Chip>
      )}
      {flags.includes(RankFlag.CONFIGS_DIFFER) && (
        <Chip kind="warn" title="The configs of the members differ in more than name and seed">configs differ</Chip>
      )}
      {flags.includes(RankFlag.NAN) && <Chip kind="bad">NaN</Chip>}
    </>
  );
}

function configCell({ live, configs }: Shown, row: Row, path: string): JSX.Element | string {
  const arms = "arm" in row
    ? [row.arm]
    : row.groupName === undefined ? [row.firstArm] : membersOf(live, row.groupName);
  const values = new Set(arms.map((arm) => configs.get(arm)?.get(path)));
  const [value] = values;
  if (values.size > 1) {
    return <span class="quiet">{values.size} values</span>;
  }
  return value === undefined ? <span class="quiet">–</span> : <Name>{value}</Name>;
}

const members = new WeakMap<ReadonlyMap<string, unknown>, Map<string, string[]>>();

/** The names of the arms of a group. */
export function membersOf(live: Live, groupName: string): string[] {
  let groups = members.get(live.arms);
  if (groups === undefined) {
    groups = new Map();
    for (const [name, arm] of live.arms) {
      const names: string[] = groups.get(arm.groupName ?? "") ?? [];
      groups.set(arm.groupName ?? "", names);
      names.push(name);
    }
    members.set(live.arms, groups);
  }
  return groups.get(groupName) ?? [];
}

function metricColumns({ metrics, scores }: Shown): Column<Row>[] {
  return metrics.map((metric, index) => ({
    key: `metric:${metric}`, head: <SortBy metric={metric} />, kind: "number",
    cell: (row) => {
      const value = scores?.get(rowName(row))?.[index];
      return value === undefined ? <span class="quiet">–</span> : <span title={String(value)}>{formatNumber(value)}</span>;
    },
  }));
}

/** A column head with a button that ranks the rows by the column's metric. */
function SortBy({ metric }: { metric: string }): JSX.Element {
  return (
    <button type="button" class="link" title="Rank by this metric" onClick={() => go({ metric, better: undefined })}><Name>{metric}</Name></button>
  );
}

type Scale = (value: number) => number;

/** Returns a function from a number to per cent of the plot's width, the same for all rows. */
function scaleOf(rows: readonly Row[]): Scale {
  let [least, most] = [Infinity, -Infinity];
  for (const row of rows) {
    const { ciLow, ciHigh } = statisticsOf(row);
    for (const value of [rowScore(row), ciLow, ciHigh]) {
      if (value !== undefined && Number.isFinite(value)) {
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
    }
  }
  return (value) => (most > least ? 3 + (94 * (value - least)) / (most - least) : 50);
}

/** The score as a dot, with the interval as a line. */
function Plot({ row, scale }: { row: Row; scale: Scale }): JSX.Element | null {
  const score = rowScore(row);
  if (score === undefined || !Number.isFinite(score)) {
    return null;
  }
  const { ciLow, ciHigh } = statisticsOf(row);
  const hasInterval = ciLow !== undefined && ciHigh !== undefined;
  const text = hasInterval ? `95 % interval ${formatNumber(ciLow)} to ${formatNumber(ciHigh)}` : "no interval: one run";
  return (
    <svg class="plot" role="img" aria-label={text}>
      <title>{text}</title>
      {hasInterval && <line x1={`${scale(ciLow)}%`} x2={`${scale(ciHigh)}%`} y1="50%" y2="50%" />}
      <circle cx={`${scale(score)}%`} cy="50%" r="4" />
    </svg>
  );
}
