/** The list of experiments. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import type { Experiment } from "podium-client/v1";

import { client, listExperiments, reads } from "./api";
import { counted, dateOf, experimentStatusName, formatNumber } from "./format";
import { armCount } from "./live";
import { linkTo, replace } from "./route";
import { Ago, type Column, Empty, Name, Problem, Search, Status, useCall, VirtualTable } from "./ui";

const refreshMs = 10_000;

/** The view of all experiments that the user may see. */
export function Experiments({ route }: { route: URLSearchParams }): JSX.Element {
  const turn = useVisibleTurns(refreshMs);
  const { value, error, again } = useCall(listExperiments, [turn]);
  const text = route.get("q") ?? "";
  const words = text.toLowerCase().split(/\s+/);
  const found = value?.filter((each) => words.every((word) => searched(each).includes(word)));
  return (
    <main>
      <header class="bar">
        <h1>Experiments</h1>
        <Search label="Search experiments" value={text} onInput={(q) => replace({ q: q || undefined })} />
      </header>
      {error !== undefined && <Problem error={error} retry={again} />}
      {value?.length === 0 && <Empty>No experiment has been recorded yet.</Empty>}
      {found && value!.length > 0 && (found.length === 0 ? <Empty>No experiment matches “{text}”.</Empty> : (
        <VirtualTable label="Experiments" columns={columns} rows={found} keyOf={(each) => each.name} />
      ))}
      {!value && !error && <Empty>Loading …</Empty>}
    </main>
  );
}

const columns: readonly Column<Experiment>[] = [
  {
    key: "name", head: "Experiment", kind: "name",
    cell: (each) => <a href={linkTo({ experiment: each.name })}><Name>{each.name}</Name></a>,
  },
  { key: "status", head: "Status", cell: (each) => <Status name={experimentStatusName(each.status)} /> },
  { key: "arms", head: "Arms", cell: (each) => <Arms experiment={each} /> },
  { key: "best", head: "Best arm", kind: "best", cell: (each) => <Best experiment={each} /> },
  { key: "heard", head: "Last change", cell: (each) => <Ago date={dateOf(each.updateTime)} /> },
  { key: "why", head: "Hypothesis or conclusion", kind: "rest", cell: (each) => <About experiment={each} /> },
];

function searched({ name, hypothesis = "", conclusion = "", tags }: Experiment): string {
  return [name, hypothesis, conclusion, ...tags].join("\n").toLowerCase();
}

function Arms({ experiment }: { experiment: Experiment }): JSX.Element {
  const { running = 0n, failed = 0n } = experiment.armCounts ?? {};
  return (
    <>
      {counted(armCount(experiment), "arm")}
      {running > 0n && <span class="quiet"> · {running.toString()} running</span>}
      {failed > 0n && <span class="quiet"> · {failed.toString()} failed</span>}
    </>
  );
}

function About({ experiment }: { experiment: Experiment }): JSX.Element {
  const text = experiment.conclusion ?? experiment.hypothesis ?? "";
  return <bdi class="name quiet" title={text}>{text}</bdi>;
}

/** The best arm. It is loaded when the row becomes visible. */
function Best({ experiment }: { experiment: Experiment }): JSX.Element {
  const { name, successMetric, revision } = experiment;
  const { value } = useCall(async (signal) => {
    const ask = { experiment: name, pageSize: 1 };
    return successMetric === undefined ? undefined : (await client.call(reads.rank, ask, { signal })).arms[0];
  }, [name, revision]);
  return value?.score === undefined ? <span class="quiet">–</span> : (
    <div><b class="number">{formatNumber(value.score)}</b> <span class="quiet">{successMetric}</span> <Name>{value.arm}</Name></div>
  );
}

/** A number that increases every `everyMs` milliseconds while the page is visible. */
function useVisibleTurns(everyMs: number): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const next = (): void => setTurn((old) => (document.hidden ? old : old + 1));
    const timer = setInterval(next, everyMs);
    document.addEventListener("visibilitychange", next);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", next);
    };
  }, []);
  return turn;
}
