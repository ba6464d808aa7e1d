/** The points of curves: the rows of an in-loop eval, and the training series. */

import type { ArmSummary, Metric } from "podium-client/v1";
import { ScoreOrigin } from "podium-client/v1";

import { client, collected, reads } from "./api";
import type { Points } from "./thinning";

/** A metric by step: of an eval's rows, or of the training series. */
export interface Curve {
  /** Unset for a training series. */
  readonly evalName: string | undefined;
  readonly key: string;
}

/** What is loaded of the curve of an arm. */
export interface Line extends Points {
  readonly arm: string;
}

const rowsAPage = 1_000;
const pointsAPage = 10_000;

/** The curves that the metrics of an experiment can have, in-loop evals first. */
export function curvesOf(metrics: readonly Metric[]): Curve[] {
  const isInLoop = (metric: Metric): boolean =>
    metric.sources.some((source) => source.origin === ScoreOrigin.IN_LOOP_EVAL);
  const evals = metrics.filter((metric) => metric.evalName !== undefined);
  const training = metrics.filter(
    (metric) => metric.evalName === undefined
      && metric.sources.some((source) => source.origin === ScoreOrigin.TRAINING_METRICS),
  );
  return [...evals.filter(isInLoop), ...training, ...evals.filter((metric) => !isInLoop(metric))]
    .map(({ name, evalName }) => ({ evalName, key: evalName === undefined ? name : name.slice(evalName.length + 1) }));
}

/** A curve as one text, for the URL. */
export function curveId({ evalName, key }: Curve): string {
  return JSON.stringify(evalName === undefined ? [key] : [evalName, key]);
}

/** The curve of such a text. */
export function curveFrom(text: string | null): Curve | undefined {
  try {
    const parts: unknown = JSON.parse(text ?? "");
    if (Array.isArray(parts) && parts.every((part) => typeof part === "string")) {
      const [first, second] = parts as string[];
      return second === undefined ? { evalName: undefined, key: first! } : { evalName: first, key: second };
    }
  } catch {
    // A URL can hold anything.
  }
  return undefined;
}

/** A curve as a text for people. */
export function curveTitle({ evalName, key }: Curve): string {
  return evalName === undefined ? `${key} (training)` : `${evalName} · ${key}`;
}

/** Loads curves of arms, and keeps them until the arms change. */
export class CurveCache {
  readonly #lines = new Map<string, { version: string; line: Line }>();

  /** The line of an arm. It is loaded again if the arm has changed. */
  async line(experiment: string, arm: ArmSummary | string, curve: Curve, signal: AbortSignal): Promise<Line> {
    const name = typeof arm === "string" ? arm : arm.name;
    const id = JSON.stringify([experiment, name, curveId(curve)]);
    const version = typeof arm === "string" ? "" : `${arm.revision}`;
    const known = this.#lines.get(id);
    if (known && known.version === version && version !== "") {
      return known.line;
    }
    const points = curve.evalName === undefined
      ? await seriesPoints(experiment, name, curve.key, signal)
      : await evalPoints(experiment, name, curve.evalName, curve.key, signal);
    const line = { arm: name, ...points };
    this.#lines.set(id, { version, line });
    return line;
  }
}

async function seriesPoints(experiment: string, arm: string, key: string, signal: AbortSignal): Promise<Points> {
  const page = (pageToken: string) =>
    client.call(reads.listSeries, { experiment, arm, keys: [key], pageSize: pointsAPage, pageToken }, { signal });
  const pieces = await collected(page, (found) => found.series);
  return { x: pieces.flatMap(({ steps }) => steps.map(Number)), y: pieces.flatMap(({ values }) => values) };
}

async function evalPoints(
  experiment: string, arm: string, name: string, key: string, signal: AbortSignal,
): Promise<Points> {
  const page = (pageToken: string) =>
    client.call(reads.listEvals, { experiment, arm, name, pageSize: rowsAPage, pageToken }, { signal });
  const rows = (await collected(page, (found) => found.evals))
    .filter((row) => row.step !== undefined && key in row.metrics)
    .map((row) => [Number(row.step), row.metrics[key]!] as const)
    .sort(([one], [other]) => one - other);
  return { x: rows.map(([step]) => step), y: rows.map(([, value]) => value) };
}
