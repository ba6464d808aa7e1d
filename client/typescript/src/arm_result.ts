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

/** A number and where it came from. NaN is a number. */
export interface Score {
  /** The number. */
  readonly value: number;
  /** What kind of result it is part of. */
  readonly origin: ScoreOrigin;
  /** The key that it was found under. */
  readonly key: string;
  /** The name of the row, for the two kinds of eval rows. */
  readonly evalName?: string | undefined;
  /** The step of an in-loop row. */
  readonly step?: bigint | undefined;
}

/** Numbers by key. */
export type Metrics = Readonly<Record<string, number>>;

/**
 * An arm in this process: what `ArmHandle.get` answers, or one that was built by hand. It answers
 * `eval` and `score` by the rules of the server, and asks no server.
 */
export class ArmResult {
  /** The arm as it was given. */
  readonly message: ArmResultMessage;

  /** Takes a message, as it is, or the fields of one. */
  constructor(message: MessageInitShape<typeof ArmResultSchema>) {
    this.message = create(ArmResultSchema, message);
  }

  /** Its name. */
  get name(): string {
    return this.message.name;
  }

  /** Its rows, in the order of first acceptance. */
  get evals(): EvalResult[] {
    return this.message.evals;
  }

  /**
   * Without a step: the post-training row of that name if there is one, else the in-loop row with
   * the greatest step. With a step: the in-loop row at exactly that step. Else undefined. Of rows
   * that repeat a name and step, the first one counts.
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
   * The number of a metric; undefined if there is none.
   *
   * @throws PodiumError INVALID_ARGUMENT: the metric is empty.
   */
  score(metric: string): number | undefined {
    return this.findScore(metric)?.value;
  }

  /**
   * The score on a metric and where it came from; undefined if there is none.
   *
   * Each dot of the metric is tried from the left: the key behind it, of the row that `eval`
   * answers for the name before it. Where no split has an entry, the whole text is a key of the
   * eval metrics, else of the training metrics.
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
   * The primary eval: the first post-training row tagged `test`, else the first post-training row,
   * else the first row. A row of another model is never primary.
   */
  get primary(): EvalResult | undefined {
    const own = distinct(this.evals).filter((row) => row.modelRef === undefined);
    const final = own.filter((row) => row.step === undefined);
    return final.find((row) => row.tags.includes("test")) ?? final[0] ?? own[0];
  }

  /** How far the training has come. */
  get status(): ArmStatus {
    return this.message.status;
  }

  /** What the arm was asked to do; undefined if nobody said. */
  get runConfig(): RunConfig | undefined {
    return this.message.runConfig;
  }

  /** The training metrics: the latest value of each key. */
  get metrics(): Metrics {
    return this.message.metrics;
  }

  /**
   * The message in the JSON mapping of protobuf, as `JSON.stringify` takes it: 64-bit integers are texts,
   * and numbers that JSON lacks are `"NaN"`, `"Infinity"` and `"-Infinity"`.
   */
  toJSON(): JsonValue {
    return toJson(ArmResultSchema, this.message);
  }

  /** The eval metrics that were given, else those of the primary eval. */
  get evalMetrics(): Metrics {
    return givenOr(this.message.evalMetrics, this.primary?.metrics);
  }

  /** The breakdowns that were given, else those of the primary eval. */
  get evalBreakdowns(): Readonly<Record<string, Value>> {
    return givenOr(this.message.evalBreakdowns, this.primary?.breakdowns);
  }

  /** How long evaluation took as it was given, else as the primary eval says. */
  get evalSeconds(): number | undefined {
    return this.message.evalSeconds ?? this.primary?.evalSeconds;
  }

  #rowScore(name: string, key: string): Score | undefined {
    // Names and keys are never empty, so a dot at an end splits nothing.
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

/** A key may be called like what every object has, such as `constructor`. */
function scoreIn(metrics: Metrics, key: string, origin: ScoreOrigin): Score | undefined {
  return Object.hasOwn(metrics, key) ? { value: metrics[key]!, origin, key } : undefined;
}

/** The rows without those that repeat an earlier one's name and step. */
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

/** Whether two sets of metrics say the same; NaN is the same as NaN, and -0 as 0. */
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
