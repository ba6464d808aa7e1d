import type { MessageInitShape } from "@bufbuild/protobuf";

import { ArmHandle, type DeleteOptions } from "./arm_handle.js";
import { ArmRun, type StartOptions } from "./arm_run.js";
import type { ArmResult } from "./arm_result.js";
import type { CallOptions, Connection } from "./connection.js";
import { experimentDeclared } from "./events.js";
import { inCalls } from "./large_arms.js";
import { Live } from "./live.js";
import { inOneState, largestPage, pages } from "./pages.js";
import type { ArmStatus, ArmSummary } from "./podium/v1/arm_result_pb.js";
import type { EventSchema, ExperimentDeclaredSchema } from "./podium/v1/event_pb.js";
import type { Direction, Experiment } from "./podium/v1/experiment_pb.js";
import { RecordingService, type RecordResponse } from "./podium/v1/recording_service_pb.js";
import type { ConfigFilterSchema } from "./podium/v1/config_filter_pb.js";
import type { Metric } from "./podium/v1/metric_pb.js";
import type { RunConfigSchema } from "./podium/v1/run_config_pb.js";
import {
  type RankResponse,
  ResultsService,
  type ScoresResponse,
  type WatchResponse,
} from "./podium/v1/results_service_pb.js";
import { type FollowOptions, watch, type WatchOptions } from "./watching.js";

/** Which arms a list has; nothing said means all. */
export interface ArmFilter {
  /** Only arms with one of these statuses. */
  readonly statuses?: ArmStatus[];
  /** Only arms of the group with this name. */
  readonly groupName?: string;
  /** Only arms whose name begins with this text. */
  readonly namePrefix?: string;
  /** Only arms whose run_config has all of these tags. */
  readonly tags?: string[];
  /** Only arms whose run_config passes all of these conditions. */
  readonly config?: MessageInitShape<typeof ConfigFilterSchema>[];
}

/** What is ranked; nothing said means what the experiment says of itself. */
export interface RankOptions extends ArmFilter, CallOptions {
  /** Else the experiment's success_metric. */
  readonly metric?: string;
  /** Which scores are better; else the experiment's direction. */
  readonly direction?: Direction;
  /** Which arms are ranked; else the completed ones. */
  readonly statuses?: ArmStatus[];
  /** How many of the first arms or groups are wanted; else all. */
  readonly top?: number;
  /** Whether groups of arms are ranked, by the means of their members. */
  readonly byGroup?: boolean;
  /** Only groups with at least so many scores that are numbers. */
  readonly minMembers?: number;
}

/** Of which arms the scores are; nothing said means all. */
export interface ScoresOptions extends ArmFilter, CallOptions {}

/** Where the first event of a call stands in its stream. */
export interface RecordOptions extends CallOptions {
  /** So that each event is applied exactly once, however late the call is repeated. */
  readonly position?: {
    /** The id of the stream's writer: one process life, and one arm. */
    readonly writerId: string;
    /** The number of the first event of the call, from 1. */
    readonly firstSequence: bigint;
  };
}

/** An experiment on a server. Every method that calls throws a `PodiumError` if the call fails. */
export class ExperimentHandle {
  /** Its name. */
  readonly name: string;
  readonly #connection: Connection;

  /** @internal `client` makes handles. */
  constructor(connection: Connection, name: string) {
    this.#connection = connection;
    this.name = name;
  }

  /** A handle of one of its arms: to make one calls nobody. */
  arm(name: string): ArmHandle {
    return new ArmHandle(this.#connection, this.name, name);
  }

  /** The experiment itself, with the number of its arms by status. */
  async get(options?: CallOptions): Promise<Experiment> {
    const { getExperiment } = ResultsService.method;
    const request = { experiment: this.name };
    return (await this.#connection.call(getExperiment, request, options)).experiment!;
  }

  /** The arms without their rows, in the order in which they were created, page by page. */
  arms(filter: ArmFilter = {}, options?: CallOptions): AsyncGenerator<ArmSummary> {
    return pages(async (pageToken) => {
      const request = { ...filter, experiment: this.name, pageToken };
      const page = await this.#connection.call(ResultsService.method.listArms, request, options);
      return { items: page.arms, nextPageToken: page.nextPageToken };
    });
  }

  /** The metrics on which arms have scores, with the number of arms of each, page by page. */
  metrics(options?: CallOptions): AsyncGenerator<Metric> {
    return pages(async (pageToken) => {
      const request = { experiment: this.name, pageSize: largestPage, pageToken };
      const page = await this.#connection.call(ResultsService.method.listMetrics, request, options);
      return { items: page.metrics, nextPageToken: page.nextPageToken };
    });
  }

  /**
   * The arms in the order of their scores, or the groups in that of their means, the best first, as
   * of one revision, with what became of every arm. An experiment that changes too fast is an error, ABORTED.
   */
  async rank(options: RankOptions = {}): Promise<RankResponse> {
    const what = `the ranking of experiment ${JSON.stringify(this.name)}`;
    return inOneState(what, () => this.#rankInOneState(options));
  }

  /**
   * The scores of arms on some metrics: a column for each metric, in the order of the arms' creation,
   * with all pages in one. The revision is 0 if the experiment changed between the pages.
   */
  async scores(metrics: string[], options: ScoresOptions = {}): Promise<ScoresResponse> {
    const { statuses, groupName, namePrefix, tags, config } = options;
    const filter = { statuses, groupName, namePrefix, tags, config };
    const request = { experiment: this.name, metrics, ...filter, pageSize: largestPage };
    const { scores } = ResultsService.method;
    const found = await this.#connection.call(scores, request, options);
    while (found.nextPageToken !== "") {
      const next = { ...request, pageToken: found.nextPageToken };
      const page = await this.#connection.call(scores, next, options);
      found.arms = found.arms.concat(page.arms);
      found.columns.forEach((column, index) => {
        column.values = column.values.concat(page.columns[index]!.values);
        column.present = column.present.concat(page.columns[index]!.present);
      });
      found.revision = page.revision === found.revision ? found.revision : 0n;
      found.nextPageToken = page.nextPageToken;
    }
    return found;
  }

  /**
   * Starts an attempt at training an arm. The arm is running from then on. An experiment that was not
   * declared is an error.
   *
   * @throws TypeError Both `resumeStep` and `restart` are given.
   */
  async startArm(
    runConfig: MessageInitShape<typeof RunConfigSchema>,
    options: StartOptions = {},
  ): Promise<ArmRun> {
    return ArmRun.start(this.#connection, this.name, runConfig, options);
  }

  /**
   * Starts an attempt, calls a function with it, and records the end: completed if the function
   * returns, else failed with its error, or cancelled if it was aborted. After `finish` no other end is
   * recorded. Returns what the function returns.
   *
   * @throws AggregateError The function failed, and its end could not be recorded.
   */
  async runArm<T>(
    runConfig: MessageInitShape<typeof RunConfigSchema>,
    options: StartOptions,
    train: (run: ArmRun) => Promise<T>,
  ): Promise<T> {
    return (await this.startArm(runConfig, options)).train(train);
  }

  /**
   * Yields the state of the experiment and then every change as it is committed. Each update has a
   * marker, and changes the state before it into exactly the state of the marker's revision. Apply its
   * fields in the order reset, removals, arms, evals, series. If the connection is lost, the watch continues
   * after the last update. The last update of an experiment that was deleted has only `deleted` set.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<WatchResponse, void, undefined> {
    return watch(this.#connection, this.name, options);
  }

  /**
   * Watches the experiment, and keeps its state in memory until `close` is called. Returns when the first state is
   * complete. Reads of the state make no calls. With the filters of the options, less is kept. Training series are
   * kept with `withSeries`.
   */
  follow(options: FollowOptions = {}): Promise<Live> {
    return Live.begun((signal, heard) => watch(this.#connection, this.name, { ...options, signal }, heard));
  }

  /**
   * Creates the experiment, or fills those of its fields that are still unset. A field that has another
   * value is left, and named in the response, unless `overwrite` is set.
   */
  async declare(
    declared: MessageInitShape<typeof ExperimentDeclaredSchema> = {},
    options?: CallOptions,
  ): Promise<RecordResponse> {
    return this.record([experimentDeclared(declared)], options);
  }

  /**
   * Records a whole arm: the stored arm becomes equal to it. With `replace`, it also replaces an arm that
   * has attempts. An arm that is larger than one call allows is recorded in several calls: first the arm
   * with its first rows, then the other rows. To record it again is safe.
   */
  async recordArm(
    arm: ArmResult,
    { replace = false, ...options }: CallOptions & { readonly replace?: boolean } = {},
  ): Promise<RecordResponse> {
    const [first, ...others] = inCalls(arm, replace);
    let found = await this.record(first!, options);
    for (const events of others) {
      const { changedEvents } = found;
      found = await this.record(events, options);
      found.changedEvents += changedEvents;
    }
    return found;
  }

  /** Records events, all of them or none. They apply in order, and to send them again is safe. */
  async record(
    events: MessageInitShape<typeof EventSchema>[],
    options: RecordOptions = {},
  ): Promise<RecordResponse> {
    const request = { experiment: this.name, events, position: options.position };
    return this.#connection.call(RecordingService.method.record, request, options);
  }

  /** Deletes the experiment with its arms, and answers its revision after it. */
  async delete(options: DeleteOptions = {}): Promise<bigint> {
    const request = { experiment: this.name, allowMissing: options.allowMissing };
    const { deleteExperiment } = RecordingService.method;
    return (await this.#connection.call(deleteExperiment, request, options)).revision;
  }

  /**
   * Undefined if the ranking changed between the pages. What is recorded of arms that are not in the
   * ranking changes the experiment's revision only.
   */
  async #rankInOneState(options: RankOptions): Promise<RankResponse | undefined> {
    const { metric, direction, byGroup, minMembers, top = Infinity } = options;
    const { statuses, groupName, namePrefix, tags, config } = options;
    const filter = { statuses, groupName, namePrefix, tags, config };
    const pageSize = Math.min(top, largestPage);
    const experiment = this.name;
    const request = { experiment, metric, direction, ...filter, byGroup, minMembers, pageSize };
    const { rank } = ResultsService.method;
    const found = await this.#connection.call(rank, request, options);
    while (found.nextPageToken !== "" && found.arms.length + found.groups.length < top) {
      const next = { ...request, pageToken: found.nextPageToken };
      const page = await this.#connection.call(rank, next, options);
      if (page.rankingRevision !== found.rankingRevision) {
        return undefined;
      }
      found.arms.push(...page.arms);
      found.groups.push(...page.groups);
      found.nextPageToken = page.nextPageToken;
    }
    found.arms.splice(top);
    found.groups.splice(top);
    return found;
  }
}
