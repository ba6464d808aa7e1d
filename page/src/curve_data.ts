/** The points of curves: the rows of an in-loop eval, and the training series. */

import type { ArmSummary, EvalResult, Metric } from "podium-client/v1";
import { ScoreOrigin } from "podium-client/v1";

import { client, collected, reads } from "./api";
import { dateOf } from "./format";

/** A metric by step, from the rows of an eval or from a training series. */
export interface Curve {
  /** Unset for a training series. */
  readonly evalName: string | undefined;
  readonly key: string;
}

/** The loaded points of an arm's curve, in the order of the steps. */
export interface ArmPoints {
  readonly steps: number[];
  /** The seconds since the arm began, or NaN. Training series have no times. */
  readonly seconds: number[];
  readonly values: number[];
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

/** The curve of a text that `curveId` made, or undefined for any other text. */
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

/** Loads curves of arms, and keeps them until the arms change or another curve is shown. */
export class CurveCache {
  #curve = "";
  #points = new Map<string, { version: string; points: ArmPoints }>();

  /** The points of an arm. They are loaded again if the arm has changed. */
  async points(experiment: string, arm: ArmSummary | string, curve: Curve, signal: AbortSignal): Promise<ArmPoints> {
    const name = typeof arm === "string" ? arm : arm.name;
    const id = JSON.stringify([experiment, curveId(curve)]);
    const version = typeof arm === "string" ? "" : `${arm.revision}`;
    if (this.#curve !== id) {
      [this.#curve, this.#points] = [id, new Map()];
    }
    const known = this.#points.get(name);
    if (known && known.version === version && version !== "") {
      return known.points;
    }
    const points = curve.evalName === undefined
      ? await seriesPoints(experiment, name, curve.key, signal)
      : await evalPoints(experiment, arm, curve.evalName, curve.key, signal);
    if (this.#curve === id) {
      this.#points.set(name, { version, points });
    }
    return points;
  }
}

async function seriesPoints(experiment: string, arm: string, key: string, signal: AbortSignal): Promise<ArmPoints> {
  const page = (pageToken: string) =>
    client.call(reads.listSeries, { experiment, arm, keys: [key], pageSize: pointsAPage, pageToken }, { signal });
  const pieces = await collected(page, (found) => found.series);
  const steps = pieces.flatMap((piece) => piece.steps.map(Number));
  return { steps, seconds: steps.map(() => NaN), values: pieces.flatMap(({ values }) => values) };
}

async function evalPoints(
  experiment: string, arm: ArmSummary | string, name: string, key: string, signal: AbortSignal,
): Promise<ArmPoints> {
  const armName = typeof arm === "string" ? arm : arm.name;
  const page = (pageToken: string) =>
    client.call(reads.listEvals, { experiment, arm: armName, name, pageSize: rowsAPage, pageToken }, { signal });
  const rows = (await collected(page, (found) => found.evals))
    .filter((row) => row.step !== undefined && key in row.metrics)
    .sort((one, other) => Number(one.step! - other.step!));
  const times = rows.map(timeOf);
  // An arm whose results were delivered later was created after its first row.
  const created = typeof arm === "string" ? undefined : dateOf(arm.createTime)?.getTime();
  const begin = times.reduce((first, time) => Math.min(first, time || Infinity), created ?? Infinity);
  return {
    steps: rows.map((row) => Number(row.step)),
    seconds: times.map((time) => (time - begin) / 1000),
    values: rows.map((row) => row.metrics[key]!),
  };
}

function timeOf(row: EvalResult): number {
  return dateOf(row.eventTime ?? row.recordTime)?.getTime() ?? NaN;
}
