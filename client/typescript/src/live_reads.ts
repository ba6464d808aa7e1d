import { create } from "@bufbuild/protobuf";

import { type ArmResult, distinct } from "./arm_result.js";
import { PodiumError } from "./errors.js";
import { ArmStatus } from "./podium/v1/arm_result_pb.js";
import { ArmCountsSchema, Direction, type Experiment } from "./podium/v1/experiment_pb.js";
import {
  type RankedArm, RankedArmSchema, RankFlag, type RankSource, RankSourceSchema,
} from "./podium/v1/ranking_pb.js";
import { type RankResponse, RankResponseSchema } from "./podium/v1/results_service_pb.js";
import { type ScoreOrigin, ScoreSourceSchema } from "./podium/v1/score_pb.js";

/** Options of a ranking of a replica. The defaults are those of the experiment. */
export interface LiveRankOptions {
  /** Else the experiment's success_metric. */
  readonly metric?: string | undefined;
  /** Which scores are better. The default is the experiment's direction for the metric. */
  readonly direction?: Direction | undefined;
  /** The statuses of the ranked arms. The default is completed arms only. */
  readonly statuses?: ArmStatus[] | undefined;
}

/** The values of a metric by step. */
export interface Points {
  /** The steps that have a value, in order. */
  readonly steps: readonly bigint[];
  /** The value at each of the steps, which may be NaN. */
  readonly values: readonly number[];
}

// The most sources that a ranking lists.
const shownSources = 100;

/** Returns the ranking of arms, in the order of their creation, as the server ranks them. */
export function ranking(
  arms: Iterable<ArmResult>, experiment: Experiment | undefined, revision: bigint, options: LiveRankOptions,
): RankResponse {
  const metric = options.metric ?? experiment?.successMetric;
  if (metric === undefined) {
    const text = "give a metric: the experiment has no success_metric";
    throw new PodiumError("FAILED_PRECONDITION", text, { reason: "METRIC_MISSING" });
  }
  const direction = options.direction || directionFor(metric, experiment);
  const { statuses = [] } = options;
  const wanted = statuses.length === 0 ? [ArmStatus.COMPLETED] : statuses;
  const leftOut = create(ArmCountsSchema);
  const ranked: RankedArm[] = [];
  for (const arm of arms) {
    if (wanted.includes(arm.status)) {
      ranked.push(scored(arm, metric));
    } else if (arm.status !== ArmStatus.UNSPECIFIED) {
      leftOut[countNames[arm.status]]++;
    }
  }
  const sources = flagAndCount(ranked);
  sortByScore(ranked, direction);
  const withoutScore = ranked.filter(({ score }) => score === undefined).length;
  const nans = ranked.filter(({ score }) => Number.isNaN(score)).length;
  const counts = {
    numbers: BigInt(ranked.length - nans - withoutScore), nans: BigInt(nans), withoutScore: BigInt(withoutScore), leftOut,
  };
  return create(RankResponseSchema, { arms: ranked, metric, direction, revision, counts, sources });
}

/** Returns the in-loop values of the first split of a metric that has some. */
export function evalPoints(arm: ArmResult, metric: string): Points | undefined {
  for (let dot = metric.indexOf("."); dot >= 0; dot = metric.indexOf(".", dot + 1)) {
    const [name, key] = [metric.slice(0, dot), metric.slice(dot + 1)];
    const rows = distinct(arm.evals)
      .filter((row) => row.name === name && row.step !== undefined && Object.hasOwn(row.metrics, key))
      .sort((a, b) => Number(a.step! - b.step!));
    if (rows.length > 0) {
      return { steps: rows.map((row) => row.step!), values: rows.map((row) => row.metrics[key]!) };
    }
  }
  return undefined;
}

const countNames = {
  [ArmStatus.PENDING]: "pending",
  [ArmStatus.RUNNING]: "running",
  [ArmStatus.COMPLETED]: "completed",
  [ArmStatus.FAILED]: "failed",
  [ArmStatus.CANCELLED]: "cancelled",
} as const;

/**
 * The experiment's direction for its success_metric, else the one that its metadata states for the metric, else the
 * experiment's, else MAXIMIZE.
 */
function directionFor(metric: string, experiment: Experiment | undefined): Direction {
  const declared = experiment?.direction || Direction.MAXIMIZE;
  if (experiment === undefined || (experiment.direction && metric === experiment.successMetric)) {
    return declared;
  }
  const key = `direction:${metric}`;
  const stated = Object.hasOwn(experiment.metadata, key) ? experiment.metadata[key]!.kind.value : undefined;
  return stated === "maximize" ? Direction.MAXIMIZE : stated === "minimize" ? Direction.MINIMIZE : declared;
}

/** Returns an arm and its score, without a place. */
function scored(arm: ArmResult, metric: string): RankedArm {
  const { groupName } = arm.message;
  const entry = create(RankedArmSchema, {
    arm: arm.name, status: arm.status, ...(groupName === undefined ? {} : { groupName }),
  });
  const found = arm.findScore(metric);
  if (found === undefined) {
    return entry;
  }
  const { value, origin, key, evalName, step } = found;
  const row = evalName === undefined ? undefined : arm.eval(evalName, step);
  entry.score = value;
  entry.source = create(ScoreSourceSchema, {
    origin, key,
    ...(evalName === undefined ? {} : { evalName }),
    ...(step === undefined ? {} : { step }),
  });
  if (row?.benchmarkId !== undefined) {
    entry.benchmarkId = row.benchmarkId;
  }
  return entry;
}

/** Sets the flags of arms. Returns the sources of their scores, the most frequent one first. */
function flagAndCount(arms: RankedArm[]): RankSource[] {
  const sources = new Map<string, RankSource>();
  const benchmarks = new Map<string, Set<string>>();
  for (const { source, benchmarkId } of arms) {
    if (source === undefined) {
      continue;
    }
    const { origin, evalName } = source;
    const key = JSON.stringify([origin, evalName ?? null, benchmarkId ?? null]);
    const known = sources.get(key) ?? newSource(origin, evalName, benchmarkId);
    known.scores++;
    sources.set(key, known);
    if (evalName !== undefined) {
      const names = benchmarks.get(evalName) ?? new Set();
      benchmarks.set(evalName, names.add(benchmarkId || evalName));
    }
  }
  for (const arm of arms) {
    if (Number.isNaN(arm.score)) {
      arm.flags.push(RankFlag.NAN);
    }
    if ((benchmarks.get(arm.source?.evalName ?? "")?.size ?? 0) > 1) {
      arm.flags.push(RankFlag.BENCHMARKS_DIFFER);
    }
  }
  return [...sources.values()].sort(compareSources).slice(0, shownSources);
}

function newSource(origin: ScoreOrigin, evalName?: string, benchmarkId?: string): RankSource {
  return create(RankSourceSchema, {
    origin,
    ...(evalName === undefined ? {} : { evalName }),
    ...(benchmarkId === undefined ? {} : { benchmarkId }),
  });
}

function compareSources(a: RankSource, b: RankSource): number {
  return Number(b.scores - a.scores) || a.origin - b.origin ||
    compareTexts(a.evalName, b.evalName) || compareTexts(a.benchmarkId, b.benchmarkId);
}

function compareTexts(a = "", b = ""): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Sorts arms, the best first, and sets their places. Equal scores share a place. */
function sortByScore(arms: RankedArm[], direction: Direction): void {
  const compare = (a: RankedArm, b: RankedArm) => compareScores(a.score, b.score, direction);
  arms.sort(compare);
  let rank = 0;
  arms.forEach((arm, place) => {
    if (place === 0 || compare(arms[place - 1]!, arm) !== 0) {
      rank = place + 1;
    }
    if (arm.score !== undefined) {
      arm.rank = BigInt(rank);
    }
  });
}

/** Is negative if the first score comes first: numbers, then NaN, then no score. */
function compareScores(a: number | undefined, b: number | undefined, direction: Direction): number {
  const section = (score: number | undefined) => (score === undefined ? 2 : Number.isNaN(score) ? 1 : 0);
  const order = section(a) - section(b);
  if (order !== 0 || section(a) > 0 || a === b) {
    return order;
  }
  return a! < b! === (direction === Direction.MINIMIZE) ? -1 : 1;
}

/** The points of a series in one state. Later states share its arrays, and earlier ones use fewer points of them. */
export class LivePoints {
  readonly #steps: bigint[];
  readonly #values: number[];
  readonly #length: number;

  constructor(steps: bigint[] = [], values: number[] = []) {
    this.#steps = steps;
    this.#values = values;
    this.#length = steps.length;
  }

  /** Returns the points before a step. */
  before(step: bigint): LivePoints {
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#steps[middle]! < step) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low === this.#length ? this : new LivePoints(this.#steps.slice(0, low), this.#values.slice(0, low));
  }

  /** Returns these points and later ones. */
  followedBy(steps: readonly bigint[], values: readonly number[]): LivePoints {
    const isNewest = this.#steps.length === this.#length;
    const [sharedSteps, sharedValues] = isNewest
      ? [this.#steps, this.#values]
      : [this.#steps.slice(0, this.#length), this.#values.slice(0, this.#length)];
    steps.forEach((step) => sharedSteps.push(step));
    values.forEach((value) => sharedValues.push(value));
    return new LivePoints(sharedSteps, sharedValues);
  }

  /** The points. */
  get points(): Points | undefined {
    return this.#length === 0
      ? undefined
      : { steps: this.#steps.slice(0, this.#length), values: this.#values.slice(0, this.#length) };
  }
}
