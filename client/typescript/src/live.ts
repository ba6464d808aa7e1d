import { create } from "@bufbuild/protobuf";

import { ArmResult } from "./arm_result.js";
import { PodiumError } from "./errors.js";
import { evalPoints, LivePoints, type LiveRankOptions, type Points, ranking } from "./live_reads.js";
import { ArmResultSchema, ArmStatus } from "./podium/v1/arm_result_pb.js";
import type { EvalResult } from "./podium/v1/eval_result_pb.js";
import type { Direction, Experiment } from "./podium/v1/experiment_pb.js";
import type { RankResponse, WatchResponse } from "./podium/v1/results_service_pb.js";
import type { WatchedArm, WatchedEval } from "./podium/v1/watch_pb.js";

/** An arm, its rows by name and step, and its training series by key. */
interface Known {
  readonly watched: WatchedArm;
  readonly rows: ReadonlyMap<string, WatchedEval>;
  readonly points: ReadonlyMap<string, LivePoints>;
  readonly result: ArmResult;
}

interface Changed {
  watched: WatchedArm | undefined;
  rows: Map<string, WatchedEval>;
  points: ReadonlyMap<string, LivePoints>;
}

/** The state of an experiment at one revision. It never changes. */
export class LiveState {
  /** The arms by name, in the order of their creation. Each answers `eval` and `score`. */
  readonly arms: ReadonlyMap<string, ArmResult>;
  readonly #known: ReadonlyMap<string, Known>;
  readonly #inOrder: readonly (readonly [string, Known])[];

  /** For `Live` only. */
  constructor(
    /** The experiment, with the fields of its last declaration. */
    readonly experiment?: Experiment,
    /** The revision of this state; 0 before the first one. */
    readonly revision: bigint = 0n,
    known: ReadonlyMap<string, Known> = new Map(),
  ) {
    this.#known = known;
    this.#inOrder = [...known].sort(([, a], [, b]) => Number(a.watched.position - b.watched.position));
    this.arms = new Map(this.#inOrder.map(([name, { result }]) => [name, result]));
  }

  /** Returns the arm of that name, if there is one. */
  arm(name: string): ArmResult | undefined {
    return this.arms.get(name);
  }

  /**
   * Returns the arms in the order of their scores, as `ExperimentHandle.rank` does.
   *
   * @throws PodiumError FAILED_PRECONDITION: no metric is given, and the experiment has no success_metric.
   */
  rank(options: LiveRankOptions = {}): RankResponse {
    return ranking(this.arms.values(), this.experiment, this.revision, options);
  }

  /**
   * Returns the completed arm with the best score, if an arm has one. The metric is else the experiment's
   * success_metric, and the direction that of the experiment. NaN is never the best, and of equal scores the first
   * arm's counts.
   *
   * @throws PodiumError FAILED_PRECONDITION: no metric is given, and the experiment has no success_metric.
   */
  best(metric?: string, direction?: Direction): ArmResult | undefined {
    const first = this.rank({ metric, direction }).arms[0];
    return first?.score === undefined || Number.isNaN(first.score) ? undefined : this.arms.get(first.arm);
  }

  /**
   * Returns the values of a metric by step, of each running or completed arm that has some, by its name. The metric is
   * an eval and a key, such as `val.acc`, or a training metric, such as `loss`, if `follow` was called with
   * `withSeries`.
   */
  curve(metric: string): Map<string, Points> {
    const curves = new Map<string, Points>();
    for (const [name, { result, points }] of this.#inOrder) {
      const isShown = result.status === ArmStatus.RUNNING || result.status === ArmStatus.COMPLETED;
      const found = isShown ? (evalPoints(result, metric) ?? points.get(metric)?.points) : undefined;
      if (found !== undefined) {
        curves.set(name, found);
      }
    }
    return curves;
  }

  /** Returns the state after an update. */
  after(update: WatchResponse): LiveState {
    const known = new Map(update.reset ? [] : this.#known);
    const changed = new Map<string, Changed>();
    const change = (name: string) => {
      const before = known.get(name);
      const found = changed.get(name) ??
        { watched: before?.watched, rows: new Map(before?.rows), points: before?.points ?? new Map() };
      changed.set(name, found);
      return found;
    };
    for (const { arm, name, step } of update.removals) {
      if (name === undefined) {
        known.delete(arm);
        changed.delete(arm);
      } else {
        change(arm).rows.delete(rowKey(name, step));
      }
    }
    for (const watched of update.arms) {
      change(watched.arm!.name).watched = watched;
    }
    for (const item of update.evals) {
      const row = item.evalResult!;
      change(item.arm).rows.set(rowKey(row.name, row.step), item);
    }
    for (const { arm, fromStep, series } of update.series) {
      const item = change(arm);
      const points = new Map([...item.points].map(([key, kept]) => [key, kept.before(fromStep)]));
      for (const { key, steps, values } of series) {
        points.set(key, (points.get(key) ?? new LivePoints()).followedBy(steps, values));
      }
      item.points = points;
    }
    for (const [name, { watched, rows, points }] of changed) {
      if (watched !== undefined) {
        known.set(name, { watched, rows, points, result: resultOf(watched, rows) });
      }
    }
    return new LiveState(update.experiment ?? this.experiment, update.marker!.revision, known);
  }
}

/** Follows an experiment: its state in memory, which is always the complete state of one revision. */
export class Live {
  #state = new LiveState();
  #error: unknown;
  #heard = performance.now();
  #waiting: (() => void)[] = [];
  readonly #controller = new AbortController();
  readonly #ended: Promise<void>;

  private constructor(watched: (signal: AbortSignal, heard: () => void) => AsyncIterable<WatchResponse>) {
    this.#ended = this.#follow(watched(this.#controller.signal, () => (this.#heard = performance.now())));
  }

  /** Begins to follow. Returns when the first state is complete. For `ExperimentHandle.follow` only. */
  static async begun(
    watched: (signal: AbortSignal, heard: () => void) => AsyncIterable<WatchResponse>,
  ): Promise<Live> {
    const live = new Live(watched);
    await live.waitUntil((state) => state.revision > 0n);
    return live;
  }

  /** The newest state. Several reads of one state are consistent. */
  get state(): LiveState {
    return this.#state;
  }

  /** The revision of the newest state. */
  get revision(): bigint {
    return this.#state.revision;
  }

  /**
   * The milliseconds since the server last confirmed that the state is current. The state has every commit that is
   * older than this. While nothing changes, the server confirms it every 10 s.
   */
  get lagMs(): number {
    return performance.now() - this.#heard;
  }

  /** Returns the arm of that name in the newest state, if there is one. */
  arm(name: string): ArmResult | undefined {
    return this.#state.arm(name);
  }

  /** Waits until the state has a revision, such as the one that a recording call returned. */
  async waitFor(revision: bigint, signal?: AbortSignal): Promise<void> {
    await this.waitUntil((state) => state.revision >= revision, signal);
  }

  /**
   * Waits until a function of the state returns true. It is called with the newest state, and again after each
   * change. Throws the signal's reason if that is aborted, and the error of the watch if the state will not change
   * any more: `NOT_FOUND` after the experiment was deleted.
   */
  async waitUntil(isReached: (state: LiveState) => boolean, signal?: AbortSignal): Promise<void> {
    while (!isReached(this.#state)) {
      if (this.#error !== undefined) {
        throw this.#error;
      }
      signal?.throwIfAborted();
      await this.#change(signal);
    }
  }

  /** Ends the watch. The last state remains. */
  async close(): Promise<void> {
    this.#controller.abort();
    await this.#ended;
  }

  /** Waits for the next change or for the signal. */
  async #change(signal: AbortSignal | undefined): Promise<void> {
    const ended = new AbortController();
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true, signal: ended.signal });
    });
    ended.abort(); // removes the listener: a signal may outlive many changes
  }

  async #follow(updates: AsyncIterable<WatchResponse>): Promise<void> {
    try {
      for await (const update of updates) {
        if (update.deleted) {
          throw new PodiumError("NOT_FOUND", "the experiment was deleted");
        }
        this.#state = this.#state.after(update);
        this.#notify();
      }
    } catch (error) {
      this.#error = error;
      this.#notify();
    }
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((resolve) => resolve());
  }
}

function rowKey(name: string, step: bigint | undefined): string {
  return `${step ?? ""} ${name}`;
}

/** Returns the arm with its rows, as `ArmHandle.get` does. */
function resultOf(watched: WatchedArm, rows: ReadonlyMap<string, WatchedEval>): ArmResult {
  const { evalMetrics, evalSeconds, evalCount: _, $typeName: __, $unknown: ___, ...arm } = watched.arm!;
  const given = rows.size > 0 ? {} : {
    evalMetrics, evalBreakdowns: watched.evalBreakdowns,
    ...(evalSeconds === undefined ? {} : { evalSeconds }),
  };
  const ordered = [...rows.values()].sort((a, b) => Number(a.position - b.position));
  const evals: EvalResult[] = ordered.map((row) => row.evalResult!);
  return new ArmResult(create(ArmResultSchema, {
    ...arm, ...given, evals,
    ...(watched.runResult === undefined ? {} : { runResult: watched.runResult }),
  }));
}
