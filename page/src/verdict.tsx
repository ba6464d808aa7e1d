/** A summary of the ranking in words, and the experiment's hypothesis and conclusion. */

import type { JSX } from "preact";

import type { Experiment, RankedGroup } from "podium-client/v1";

import { valuesByPath, varyingPaths } from "./config";
import { counted, formatCount, formatNumber } from "./format";
import { type Row, rowName, rowScore } from "./leaderboard";
import type { Ranking } from "./ranking";
import { Name } from "./ui";

type Configs = Map<string, Map<string, string>>;

/** The first row and its lead over the second. If all rows are runs of one group, the range of their scores. */
export function Verdict({ ranking, configs }: { ranking: Ranking; configs: Configs }): JSX.Element | null {
  const { rows, total } = ranking;
  const scores = rows.map(rowScore).filter((score) => score !== undefined && !Number.isNaN(score)) as number[];
  const [first, second] = rows;
  if (first === undefined || scores.length === 0) {
    return null;
  }
  const isOneGroup = scores.length > 1 && rows.length === total && rows.every((row) => isSameGroup(first, row));
  return (
    <p class="verdict">
      {isOneGroup ? `These ${counted(total, "arm")} are runs of one ${nounOf(rows, configs)}; ${rangeOf(scores, total)}.`
        : <Lead first={first} second={second} />}
    </p>
  );
}

function isSameGroup(one: Row, other: Row | undefined): boolean {
  return other !== undefined && "arm" in one && one.groupName !== undefined && one.groupName === other.groupName;
}

/** A group is a configuration if its arms differ in nothing but their seeds. */
function nounOf(rows: readonly Row[], configs: Configs): string {
  const own = rows.flatMap((row) => configs.get(rowName(row)) ?? []);
  const isEqual = varyingPaths(valuesByPath(own), own.length).every((path) => path === "seed");
  return own.length === rows.length && isEqual ? "configuration" : "group";
}

function rangeOf(scores: readonly number[], total: number): string {
  const [from, to] = [Math.min(...scores), Math.max(...scores)].map(formatNumber);
  const noun = scores.length === total ? "their scores" : `the ${formatCount(scores.length)} scores`;
  return from === to ? `${noun} are all ${from}` : `${noun} lie between ${from} and ${to}`;
}

/** The first row, its lead over the second, and whether the lead may be chance. */
function Lead({ first, second }: { first: Row; second: Row | undefined }): JSX.Element {
  const [best, next] = [rowScore(first)!, second && rowScore(second)];
  return (
    <>
      Best {"arm" in first ? "arm" : "group"}: <b><Name>{rowName(first)}</Name></b> with <b class="number" title={String(best)}>{formatNumber(best)}</b>
      {next !== undefined && (best === next || Number.isFinite(best - next)) && (
        <>, {best === next ? "equal to" : <>by <b class="number">{formatNumber(Math.abs(best - next))}</b> ahead of</>}{" "}
          <Name>{rowName(second!)}</Name></>
      )}.{" "}
      {isSameGroup(first, second) && <span class="doubt">Both are runs of one group: the difference may be chance.</span>}
      {"arm" in first || (second && "arm" in second) ? null : <Trust first={first} second={second} />}
    </>
  );
}

function Trust({ first, second }: { first: RankedGroup; second: RankedGroup | undefined }): JSX.Element | null {
  const [one, two] = [first.statistics, second?.statistics];
  if (two?.mean === undefined) {
    return null;
  }
  if (one?.ciLow === undefined || two.ciLow === undefined) {
    const isSingle = one?.n === 1n || two.n === 1n;
    return <span class="doubt">{isSingle ? "One run has no interval: the difference may be chance." : "Infinite scores have no interval."}</span>;
  }
  const isApart = one.ciLow > two.ciHigh! || one.ciHigh! < two.ciLow;
  return isApart
    ? <span class="sure">Their 95 % intervals do not overlap.</span>
    : <span class="doubt">Their 95 % intervals overlap: the difference may be chance.</span>;
}

/** The hypothesis and the conclusion that were recorded. */
export function Texts({ experiment: { hypothesis, conclusion } }: { experiment: Experiment }): JSX.Element {
  return (
    <>
      {[["Hypothesis", hypothesis], ["Conclusion", conclusion]].map(([label, text]) => text && (
        <p key={label} class="about" title={text}><b>{label}:</b> <bdi>{text}</bdi></p>
      ))}
    </>
  );
}
