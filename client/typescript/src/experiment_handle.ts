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

/** Filters of a list of arms. By default it has all arms. */
export interface ArmFilter {
  /** Only arms with one of these statuses. */
  readonly statuses?: ArmStatus[];
  /** Only arms of the group with this name. */
  readonly groupName?: string;
  /** Only arms whose name begins with this text. */
  readonly namePrefix?: string;
  /** Only arms that have all of these tags. */
  readonly tags?: string[];
  /** Only arms whose run_config satisfies all of these conditions. */
  readonly config?: MessageInitShape<typeof ConfigFilterSchema>[];
}

/** Options of a ranking. The defaults are those of the experiment. */
export interface RankOptions extends ArmFilter, CallOptions {
  /** The metric. The default is the experiment's success_metric. */
  readonly metric?: string;
  /** Which scores are better. The default is the experiment's direction. */
  readonly direction?: Direction;
  /** The statuses of the ranked arms. The default is completed arms only. */
  readonly statuses?: ArmStatus[];
  /** The number of places to return. The default is all. */
  readonly top?: number;
  /** Whether to rank groups of arms, by the means of their members. */
  readonly byGroup?: boolean;
  /** Only groups with at least this number of scores that are not NaN. */
  readonly minMembers?: number;
}

/** Filters of the arms. By default there are scores of all arms. */
export interface ScoresOptions extends ArmFilter, CallOptions {}

/** Options of a call that records events. */
export interface RecordOptions extends CallOptions {
  /** The position of the first event in its stream. With it, each event is applied exactly once. */
  readonly position?: {
    /** The id of the stream: of one arm, and of one run of one process. */
    readonly writerId: string;
    /** The number of the first event. The first event of a stream has number 1. */
    readonly firstSequence: bigint;
  };
}

/** A handle of an experiment on a server. A method whose call fails throws a `PodiumError`. */
export class ExperimentHandle {
  /** The name of the experiment. */
  readonly name: string;
  readonly #connection: Connection;

  /** @internal `client` makes handles. */
  constructor(connection: Connection, name: string) {
    this.#connection = connection;
    this.name = name;
  }

  /** Returns a handle of one of its arms. Makes no call. */
  arm(name: string): ArmHandle {
    return new ArmHandle(this.#connection, this.name, name);
  }

  /** Returns the experiment, with the number of its arms by status. */
  async get(options?: CallOptions): Promise<Experiment> {
    const { getExperiment } = ResultsService.method;
    const request = { experiment: this.name };
    return (await this.#connection.call(getExperiment, request, options)).experiment!;
  }

  /** Lists the arms without their rows, in the order in which they were created. Fetches page by page. */
  arms(filter: ArmFilter = {}, options?: CallOptions): AsyncGenerator<ArmSummary> {
    return pages(async (pageToken) => {
      const request = { ...filter, experiment: this.name, pageToken };
      const page = await this.#connection.call(ResultsService.method.listArms, request, options);
      return { items: page.arms, nextPageToken: page.nextPageToken };
    });
  }

  /** Lists the metrics on which arms have scores, with the number of arms. Fetches page by page. */
  metrics(options?: CallOptions): AsyncGenerator<Metric> {
    return pages(async (pageToken) => {
      const request = { experiment: this.name, pageSize: largestPage, pageToken };
      const page = await this.#connection.call(ResultsService.method.listMetrics, request, options);
      return { items: page.metrics, nextPageToken: page.nextPageToken };
    });
  }

  /**
   * Ranks the arms by their scores, or the groups by their means, the best first, as of one revision. Arms
   * without a score come last.
   *
   * @throws PodiumError ABORTED: the ranking changed each time while it was read.
   */
  async rank(options: RankOptions = {}): Promise<RankResponse> {
    const what = `the ranking of experiment ${JSON.stringify(this.name)}`;
    return inOneState(what, () => this.#rankInOneState(options));
  }

  /**
   * Returns the scores of arms: a column for each metric, in the order in which the arms were created. All
   * pages are joined. The revision is 0 if the experiment changed between the pages.
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
   * Starts an attempt at training an arm. From then on, the status of the arm is running.
   *
   * @throws PodiumError NOT_FOUND: the experiment was not declared.
   * @throws TypeError Both `resumeStep` and `restart` are given.
   */
  async startArm(
    runConfig: MessageInitShape<typeof RunConfigSchema>,
    options: StartOptions = {},
  ): Promise<ArmRun> {
    return ArmRun.start(this.#connection, this.name, runConfig, options);
  }

  /**
   * Starts an attempt, calls a function with it, and records the end. The arm is completed if the function
   * returns, cancelled if it was aborted, and otherwise failed with its error. After `finish` no other end
   * is recorded. Returns the result of the function.
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
   * Creates the experiment, or sets its unset fields. A field with another value keeps it and is named in
   * the response, unless `overwrite` is set. `clearFields` names fields that lose their value.
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
   * with its first rows, then the other rows. Recording it again is safe.
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

  /** Records events in order, all of them or none. Sending them again is safe. */
  async record(
    events: MessageInitShape<typeof EventSchema>[],
    options: RecordOptions = {},
  ): Promise<RecordResponse> {
    const request = { experiment: this.name, events, position: options.position };
    return this.#connection.call(RecordingService.method.record, request, options);
  }

  /** Deletes the experiment with its arms. Returns its last revision. */
  async delete(options: DeleteOptions = {}): Promise<bigint> {
    const request = { experiment: this.name, allowMissing: options.allowMissing };
    const { deleteExperiment } = RecordingService.method;
    return (await this.#connection.call(deleteExperiment, request, options)).revision;
  }

  /**
   * Returns the ranking, or undefined if it changed between the pages. Events of arms that are not in the
   * ranking change only the revision of the experiment, not that of the ranking.
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
