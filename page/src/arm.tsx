/** One arm: its config, evals, breakdowns, errors and artifacts. */

import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";

import { ArmResult as Arm } from "podium-client/arm_result";
import { fromValue } from "podium-client/values";
import type { ArmResult, EvalResult } from "podium-client/v1";

import { client, collected, reads } from "./api";
import { styleOf } from "./colors";
import { flatConfig, valuesByPath, valueText, varyingPaths } from "./config";
import { dateOf, formatCount, formatNumber, formatSeconds, statusName } from "./format";
import type { Live } from "./live";
import { go, linkTo } from "./route";
import { type Bar, barsSVG } from "./picture";
import { Saves } from "./saving";
import { Ago, Chip, type Column, Name, Problem, Status, Swatch, useCall, VirtualTable } from "./ui";

const mostRows = 20_000;
/** The bars of a saved picture. */
const mostBars = 300;

/** The view of an arm. */
export function ArmView({ route, live }: { route: URLSearchParams; live: Live }): JSX.Element {
  const name = route.get("arm")!;
  const experiment = live.experiment!.name;
  const revision = live.arms.get(name)?.revision;
  const { value, error, again } = useCall((signal) => loadArm(experiment, name, signal), [experiment, name, revision]);
  if (value === undefined) {
    return error === undefined ? <p class="empty">Loading …</p> : <Problem error={error} retry={again} />;
  }
  return (
    <>
      {error !== undefined && <Problem error={error} retry={again} />}
      <Summary arm={value} route={route} live={live} />
      {value.error !== undefined && (
        <Section title="Error"><pre class="error" tabIndex={0}><bdi>{value.error}</bdi></pre></Section>
      )}
      {value.annotations?.notes && <Section title="Notes"><p class="about"><bdi>{value.annotations.notes}</bdi></p></Section>}
      <Evals arm={value} route={route} />
      <Metrics title="Training metrics" metrics={value.metrics} />
      <Config arm={value} live={live} />
      <RunResultView arm={value} />
      <ProvenanceView arm={value} />
    </>
  );
}

async function loadArm(experiment: string, arm: string, signal: AbortSignal): Promise<ArmResult> {
  const found = await client.call(reads.getArm, { experiment, arm }, { signal });
  const result = found.armResult!;
  if (found.nextEvalsPageToken !== "") {
    const page = (pageToken: string) =>
      client.call(reads.listEvals, { experiment, arm, pageToken: pageToken || found.nextEvalsPageToken }, { signal });
    result.evals.push(...await collected(page, (next) => next.evals, mostRows));
  }
  return result;
}

function Section({ title, children }: { title: ComponentChildren; children: ComponentChildren }): JSX.Element {
  return <section><h2>{title}</h2>{children}</section>;
}

function Summary({ arm, route, live }: { arm: ArmResult; route: URLSearchParams; live: Live }): JSX.Element {
  const started = dateOf(arm.createTime);
  const facts: [string, ComponentChildren][] = [
    ["Status", <Status key="s" name={statusName(arm.status)} />],
    ["Last heard", <Ago key="h" date={dateOf(arm.lastHeard ?? arm.updateTime)} />],
    ["Recorded", started?.toLocaleString()],
    ["Group", arm.groupName && <Name>{arm.groupName}</Name>],
    ["Tags", arm.tags.length > 0 && arm.tags.map((tag) => <Chip key={tag}><Name>{tag}</Name></Chip>)],
    ["Training time", arm.trainSeconds !== undefined && formatSeconds(arm.trainSeconds)],
    ["Evaluation time", arm.evalSeconds !== undefined && formatSeconds(arm.evalSeconds)],
    ["Run", arm.runId && <Name>{arm.runId}</Name>],
    ["Newest attempt", arm.attempt && <><Name>{arm.attempt.id}</Name> <span class="quiet">order {(arm.attempt.order ?? 0n).toString()}</span></>],
  ];
  return (
    <>
      <h2 class="title"><Swatch style={styleOf(live, arm.name, false)} /> <Name>{arm.name}</Name></h2>
      <dl class="facts">
        {facts.filter(([, value]) => value).map(([label, value]) => (
          <div key={label}><dt>{label}</dt><dd>{value}</dd></div>
        ))}
      </dl>
      <p class="told"><a class="button" href={linkTo({ arm: undefined, view: "curves", pick: arm.name, pickgroup: undefined }, route)}>Curves</a></p>
    </>
  );
}

function rowId(row: EvalResult): string {
  return JSON.stringify([row.name, ...(row.step === undefined ? [] : [row.step.toString()])]);
}

function Evals({ arm, route }: { arm: ArmResult; route: URLSearchParams }): JSX.Element {
  const primary = useMemo(() => new Arm(arm).primary, [arm]);
  const keys = useMemo(() => [...new Set(arm.evals.flatMap((row) => Object.keys(row.metrics)))].sort(), [arm]);
  const chosen = arm.evals.find((row) => rowId(row) === route.get("row")) ?? primary;
  const isPrimary = (row: EvalResult): boolean => primary !== undefined && rowId(row) === rowId(primary);
  if (arm.evals.length === 0) {
    return <><Section title="Evals"><p class="told">No eval row has been recorded.</p></Section>
      <Metrics title="Eval metrics as recorded" metrics={arm.evalMetrics} /></>;
  }
  const columns: Column<EvalResult>[] = [
    {
      key: "name", head: "Eval", kind: "name",
      cell: (row) => (
        <>
          <button type="button" class="link" aria-pressed={row === chosen} onClick={() => go({ row: rowId(row) })}><Name>{row.name}</Name></button>
          {isPrimary(row) && <Chip title="Scores without the name of an eval are from this row">primary</Chip>}
        </>
      ),
    },
    { key: "step", head: "Step", kind: "number", cell: (row) => row.step === undefined ? <span class="quiet">post-training</span> : formatCount(row.step) },
    ...keys.slice(0, 30).map((key): Column<EvalResult> => ({
      key: `m:${key}`, head: <Name>{key}</Name>, kind: "number",
      cell: (row) => key in row.metrics ? <span title={String(row.metrics[key])}>{formatNumber(row.metrics[key]!)}</span> : <span class="quiet">–</span>,
    })),
    { key: "tags", head: "Tags", cell: (row) => row.tags.map((tag) => <Chip key={tag}><Name>{tag}</Name></Chip>) },
    { key: "model", head: "Other model", cell: (row) => row.modelRef && <Name>{row.modelRef}</Name> },
    { key: "seconds", head: "Time", kind: "number", cell: (row) => row.evalSeconds !== undefined && formatSeconds(row.evalSeconds) },
  ];
  const isUsed = (key: string): boolean =>
    key === "tags" ? arm.evals.some((row) => row.tags.length > 0)
      : key === "model" ? arm.evals.some((row) => row.modelRef !== undefined)
        : key !== "seconds" || arm.evals.some((row) => row.evalSeconds !== undefined);
  const rows = useMemo(() => [...arm.evals].sort(byPlace), [arm]);
  return (
    <>
      <Section title={`Evals (${formatCount(arm.evals.length)})`}>
        <div class="short">
          <VirtualTable label="Evals" rows={rows} columns={columns.filter(({ key }) => isUsed(key))} keyOf={rowId} />
        </div>
        {keys.length > 30 && <p class="told">30 of {keys.length} metrics are shown.</p>}
      </Section>
      {chosen && <Breakdowns row={chosen} />}
    </>
  );
}

/** Post-training rows first, then in-loop rows from the last step. */
function byPlace(one: EvalResult, other: EvalResult): number {
  if (one.step === undefined || other.step === undefined) {
    return Number(one.step !== undefined) - Number(other.step !== undefined);
  }
  return one.step < other.step ? 1 : one.step > other.step ? -1 : 0;
}

function Breakdowns({ row }: { row: EvalResult }): JSX.Element | null {
  const entries = Object.entries(row.breakdowns).map(([key, value]) => [key, fromValue(value)] as const);
  if (entries.length === 0) {
    return null;
  }
  entries.sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
  const numbers = entries.map(([, value]) => value).filter((value) => typeof value === "number" && Number.isFinite(value)) as number[];
  const most = Math.max(0, ...numbers.slice(0, 1_000).map(Math.abs));
  return (
    <Section title={<>Breakdowns of <Name>{row.name}</Name></>}>
      <div class="scroll short" tabIndex={0} role="region" aria-label="Breakdowns">
        <table>
          <thead><tr><th scope="col" class="name">Part</th><th scope="col" class="number">Value</th><th scope="col" class="wide" aria-hidden="true" /></tr></thead>
          <tbody>
            {entries.map(([key, value]) => (
              <tr key={key}>
                <td class="name"><Name>{key}</Name></td>
                <td class="number">{typeof value === "number" ? formatNumber(value) : <Name>{valueText(value)}</Name>}</td>
                <td class="wide" aria-hidden="true">
                  {typeof value === "number" && most > 0 && Number.isFinite(value) && (
                    <svg class="bars"><rect width={`${(100 * Math.abs(value)) / most}%`} height="100%" class={value < 0 ? "negative" : ""} /></svg>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="told"><Saves name={`breakdowns of ${row.name}`} rows={() => [["part", "value"], ...entries.map(([key, value]) => [key, typeof value === "number" ? value : valueText(value)])]}
        svg={() => barsSVG(`Breakdowns of ${row.name}`, barsOf(entries), true)} /></p>
    </Section>
  );
}

function barsOf(entries: readonly (readonly [string, unknown])[]): Bar[] {
  return entries.slice(0, mostBars).flatMap(([name, value]) =>
    typeof value === "number" ? [{ name, value, text: formatNumber(value) }] : []);
}

function Metrics({ title, metrics }: { title: string; metrics: Record<string, number> }): JSX.Element | null {
  const keys = Object.keys(metrics).sort();
  return keys.length === 0 ? null : (
    <Section title={title}>
      <dl class="facts">
        {keys.map((key) => (
          <div key={key}><dt><Name>{key}</Name></dt><dd class="number" title={String(metrics[key])}>{formatNumber(metrics[key]!)}</dd></div>
        ))}
      </dl>
    </Section>
  );
}

/** The config. Values that differ from other arms come first, with what the others have. */
function Config({ arm, live }: { arm: ArmResult; live: Live }): JSX.Element {
  const config = flatConfig(arm.runConfig);
  const found = useMemo(() => valuesByPath([...live.arms.values()].map((each) => flatConfig(each.runConfig))), [live.arms]);
  const varying = live.hasAllArms ? varyingPaths(found, live.arms.size) : [];
  const others = [...config.keys()].filter((path) => !varying.includes(path));
  return (
    <Section title="Config">
      <div class="scroll short" tabIndex={0} role="region" aria-label="Config">
        <table>
          <thead><tr><th scope="col" class="name">Value</th><th scope="col">This arm</th><th scope="col" class="wide">Arms with other values</th></tr></thead>
          <tbody>
            {varying.map((path) => (
              <tr key={path} class="varying">
                <td class="name"><Name>{path}</Name></td>
                <td>{config.has(path) ? <b><Name>{config.get(path)!}</Name></b> : <span class="quiet">not set</span>}</td>
                <td class="wide"><Others values={found.get(path)!} own={config.get(path)} arms={live.arms.size} /></td>
              </tr>
            ))}
            {others.map((path) => (
              <tr key={path}>
                <td class="name"><Name>{path}</Name></td><td><Name>{config.get(path)!}</Name></td>
                <td class="wide quiet">{live.hasAllArms ? "equal in all arms" : ""}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

function Others({ values, own, arms }: {
  values: Map<string, number>; own: string | undefined; arms: number;
}): JSX.Element {
  const others = [...values].filter(([value]) => value !== own).sort(([, one], [, other]) => other - one);
  const unset = arms - [...values.values()].reduce((sum, count) => sum + count, 0);
  return (
    <span class="quiet">
      {others.slice(0, 8).map(([value, count]) => <Chip key={value}><Name>{value}</Name> × {count}</Chip>)}
      {others.length > 8 && ` and ${others.length - 8} more values`}
      {own !== undefined && unset > 0 && <Chip>not set × {unset}</Chip>}
    </span>
  );
}

function RunResultView({ arm }: { arm: ArmResult }): JSX.Element | null {
  const artifacts = Object.entries(arm.runResult?.artifacts ?? {});
  return artifacts.length === 0 ? null : (
    <Section title="Artifacts">
      <dl class="facts">
        {artifacts.map(([name, place]) => (
          <div key={name}><dt><Name>{name}</Name></dt><dd><Place place={place} /></dd></div>
        ))}
      </dl>
    </Section>
  );
}

/** Where the newest attempt ran, and with which code. */
function ProvenanceView({ arm: { provenance } }: { arm: ArmResult }): JSX.Element | null {
  const { gitCommit, gitClean, commandLine = [], host, pythonVersion, packages = {} } = provenance ?? {};
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  const facts: [string, string | undefined][] = [
    ["Host", host], ["Python", pythonVersion],
    ["Commit", gitCommit && `${gitCommit}${gitClean === false ? ", with changes" : ""}`],
    ["Command line", commandLine.join(" ")], ["Packages", versions.join(", ")],
  ];
  return !provenance ? null : (
    <Section title="Newest attempt: where it ran">
      <dl class="facts">
        {facts.flatMap(([label, value]) => (value ? [<div key={label}><dt>{label}</dt><dd><Name>{value}</Name></dd></div>] : []))}
      </dl>
    </Section>
  );
}

/** A link, if the place is a web address. */
function Place({ place }: { place: string }): JSX.Element {
  return /^https?:\/\//.test(place) && URL.canParse(place)
    ? <a href={place} rel="noreferrer noopener" target="_blank"><Name>{place}</Name></a>
    : <code><Name>{place}</Name></code>;
}
