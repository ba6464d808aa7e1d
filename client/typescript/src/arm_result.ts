import { create, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";

import { PodiumError } from "./errors.js";
import {
  ArmResultSchema,
  type ArmResult as ArmResultMessage,
  type ArmStatus,
} from "./podium/v1/arm_result_pb.js";
import type { EvalResult } from "./podium/v1/eval_result_pb.js";
import type { RunConfig } from "./podium/v1/run_config_pb.js";
import { ScoreOrigin } from "./podium/v1/score_pb.js";
import type { Value } from "./podium/v1/value_pb.js";
import { toStep } from "./steps.js";

/** A score and its source. NaN is a score. */
export interface Score {
  /** The number. */
  readonly value: number;
  /** The kind of result that has the score. */
  readonly origin: ScoreOrigin;
  /** The key of the score in that result. */
  readonly key: string;
  /** The name of the eval row, if the score is from one. */
  readonly evalName?: string | undefined;
  /** The step of an in-loop row. */
  readonly step?: bigint | undefined;
}

/** Numbers by key. */
export type Metrics = Readonly<Record<string, number>>;

/**
 * An arm in this process, from `ArmHandle.get` or built by hand. Its methods have the results of the
 * server's, and make no calls.
 */
export class ArmResult {
  /** The message that the arm was made from. */
  readonly message: ArmResultMessage;

  /** Makes an arm from a message, or from the fields of one. */
  constructor(message: MessageInitShape<typeof ArmResultSchema>) {
    this.message = create(ArmResultSchema, message);
  }

  /** The name of the arm. */
  get name(): string {
    return this.message.name;
  }

  /** The rows, in the order in which they were first accepted. */
  get evals(): EvalResult[] {
    return this.message.evals;
  }

  /**
   * Returns a row of an eval, or undefined if there is none. Without a step: the post-training row of that
   * name, or else the in-loop row with the greatest step. With a step, which may be 0 or negative: the
   * in-loop row at exactly that step. Of rows with the same name and step, the first one is used.
   */
  eval(name: string, step?: bigint | number): EvalResult | undefined {
    const named = this.evals.filter((row) => row.name === name);
    if (step !== undefined) {
      const wanted = toStep(step);
      return named.find((row) => row.step === wanted);
    }
    return named.find((row) => row.step === undefined) ?? latest(named);
  }

  /**
   * Returns the score on a metric, or undefined if there is none. NaN is a score.
   *
   * @throws PodiumError INVALID_ARGUMENT: the metric is empty.
   */
  score(metric: string): number | undefined {
    return this.findScore(metric)?.value;
  }

  /**
   * Returns the score on a metric and its source, or undefined if there is none.
   *
   * Tries each dot of the metric from the left: the text before it is the name of an eval, and the text
   * after it a key of the row that `eval` returns. If no dot leads to a score, the whole text is a key of
   * the eval metrics, or else of the training metrics.
   *
   * @throws PodiumError INVALID_ARGUMENT: the metric is empty.
   */
  findScore(metric: string): Score | undefined {
    if (metric === "") {
      const parts = { reason: "NAME_INVALID", metadata: { field: "metric" } };
      throw new PodiumError("INVALID_ARGUMENT", "metric must not be empty", parts);
    }
    for (let dot = metric.indexOf("."); dot >= 0; dot = metric.indexOf(".", dot + 1)) {
      const found = this.#rowScore(metric.slice(0, dot), metric.slice(dot + 1));
      if (found !== undefined) {
        return found;
      }
    }
    return this.#bareScore(metric);
  }

  /**
   * The primary eval: the first post-training row tagged `test`, or else the first post-training row,
   * or else the first row. A row of another model is never primary.
   */
  get primary(): EvalResult | undefined {
    const own = distinct(this.evals).filter((row) => row.modelRef === undefined);
    const final = own.filter((row) => row.step === undefined);
    return final.find((row) => row.tags.includes("test")) ?? final[0] ?? own[0];
  }

  /** The status of the arm. */
  get status(): ArmStatus {
    return this.message.status;
  }

  /** The configuration of the arm, or undefined if it has none. */
  get runConfig(): RunConfig | undefined {
    return this.message.runConfig;
  }

  /** The training metrics: the latest value of each key. */
  get metrics(): Metrics {
    return this.message.metrics;
  }

  /**
   * Returns the message in the JSON mapping of protobuf, for `JSON.stringify`. 64-bit integers are strings,
   * and so are the numbers that JSON lacks: `"NaN"`, `"Infinity"` and `"-Infinity"`.
   */
  toJSON(): JsonValue {
    return toJson(ArmResultSchema, this.message);
  }

  /** The given eval metrics, or else those of the primary eval. */
  get evalMetrics(): Metrics {
    return givenOr(this.message.evalMetrics, this.primary?.metrics);
  }

  /** The given breakdowns, or else those of the primary eval. */
  get evalBreakdowns(): Readonly<Record<string, Value>> {
    return givenOr(this.message.evalBreakdowns, this.primary?.breakdowns);
  }

  /** The given duration of the evaluation in seconds, or else that of the primary eval. */
  get evalSeconds(): number | undefined {
    return this.message.evalSeconds ?? this.primary?.evalSeconds;
  }

  #rowScore(name: string, key: string): Score | undefined {
    // Names and keys are never empty, so a dot at the start or the end is not tried.
    return name === "" || key === "" ? undefined : scoreOfRow(this.eval(name), key);
  }

  #bareScore(key: string): Score | undefined {
    const row = this.primary;
    const given = this.message.evalMetrics;
    const isRows = row !== undefined && (isEmpty(given) || sameMetrics(given, row.metrics));
    return (
      (isRows
        ? scoreOfRow(row, key)
        : scoreIn(given, key, ScoreOrigin.GIVEN_EVAL_METRICS)) ??
      scoreIn(this.message.metrics, key, ScoreOrigin.TRAINING_METRICS)
    );
  }
}

function latest(rows: EvalResult[]): EvalResult | undefined {
  return rows.reduce<EvalResult | undefined>(
    (best, row) => (best === undefined || row.step! > best.step! ? row : best),
    undefined,
  );
}

function scoreOfRow(row: EvalResult | undefined, key: string): Score | undefined {
  if (row === undefined) {
    return undefined;
  }
  const isFinal = row.step === undefined;
  const origin = isFinal ? ScoreOrigin.POST_TRAINING_EVAL : ScoreOrigin.IN_LOOP_EVAL;
  const found = scoreIn(row.metrics, key, origin);
  return found && { ...found, evalName: row.name, step: row.step };
}

/** Returns an own property only: a key may be `constructor`, which every object has. */
function scoreIn(metrics: Metrics, key: string, origin: ScoreOrigin): Score | undefined {
  return Object.hasOwn(metrics, key) ? { value: metrics[key]!, origin, key } : undefined;
}

/** Returns the rows without those that repeat the name and step of an earlier one. */
export function distinct(rows: EvalResult[]): EvalResult[] {
  const first = new Map<string, EvalResult>();
  for (const row of rows) {
    const identity = `${row.step ?? ""} ${row.name}`;
    if (!first.has(identity)) {
      first.set(identity, row);
    }
  }
  return [...first.values()];
}

/** Returns whether two sets of metrics are equal. NaN equals NaN, and -0 equals 0. */
function sameMetrics(left: Metrics, right: Metrics): boolean {
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && sameNumber(left[key]!, right[key]!))
  );
}

function sameNumber(left: number, right: number): boolean {
  return left === right || (Number.isNaN(left) && Number.isNaN(right));
}

function givenOr<T>(given: Record<string, T>, other: Record<string, T> | undefined): Record<string, T> {
  return isEmpty(given) ? (other ?? {}) : given;
}

function isEmpty(map: object): boolean {
  return Object.keys(map).length === 0;
}
