import { ArmResult, type Score } from "./arm_result.js";
import type { CallOptions, Connection } from "./connection.js";
import { inOneState, largestPage, pages } from "./pages.js";
import type { EvalResult } from "./podium/v1/eval_result_pb.js";
import { RecordingService } from "./podium/v1/recording_service_pb.js";
import { ResultsService } from "./podium/v1/results_service_pb.js";
import { toStep } from "./steps.js";

/** Filters of a list of rows. By default it has all rows. */
export interface EvalFilter {
  /** Only rows with this eval name. */
  readonly name?: string;
  /** Only in-loop rows at this step or later. */
  readonly minStep?: bigint | number;
  /** Only in-loop rows at this step or earlier. */
  readonly maxStep?: bigint | number;
}

/** Options of a deletion. */
export interface DeleteOptions extends CallOptions {
  /** Whether the call succeeds if there is nothing to delete. */
  readonly allowMissing?: boolean;
}

/** A handle of an arm on a server. A method whose call fails throws a `PodiumError`. */
export class ArmHandle {
  /** The name of the experiment. */
  readonly experiment: string;
  /** The name of the arm. */
  readonly name: string;
  readonly #connection: Connection;

  /** @internal `client` makes handles. */
  constructor(connection: Connection, experiment: string, name: string) {
    this.#connection = connection;
    this.experiment = experiment;
    this.name = name;
  }

  /**
   * Returns a row of an eval, or undefined if there is none. Without a step: the post-training row of that
   * name, or else the in-loop row with the greatest step. With a step, which may be 0 or negative: the
   * in-loop row at exactly that step.
   *
   * @throws PodiumError NOT_FOUND: the arm does not exist.
   */
  async eval(
    name: string,
    step?: bigint | number,
    options?: CallOptions,
  ): Promise<EvalResult | undefined> {
    const exact = step === undefined ? undefined : toStep(step);
    const request = { ...this.#identity, name, step: exact };
    const response = await this.#connection.call(ResultsService.method.eval, request, options);
    return response.evalResult;
  }

  /** Returns the score on a metric, or undefined if there is none. NaN is a score. */
  async score(metric: string, options?: CallOptions): Promise<number | undefined> {
    return (await this.findScore(metric, options))?.value;
  }

  /** Returns the score on a metric and its source, or undefined if there is none. */
  async findScore(metric: string, options?: CallOptions): Promise<Score | undefined> {
    const request = { ...this.#identity, metric };
    const response = await this.#connection.call(ResultsService.method.score, request, options);
    const { value, source } = response;
    if (value === undefined || source === undefined) {
      return undefined;
    }
    const { origin, key, evalName, step } = source;
    return { value, origin, key, evalName, step };
  }

  /**
   * Returns the whole arm as of one revision.
   *
   * @throws PodiumError ABORTED: the arm changed each time while it was read.
   */
  async get(options?: CallOptions): Promise<ArmResult> {
    const what = `arm ${JSON.stringify(this.name)} of ${JSON.stringify(this.experiment)}`;
    return inOneState(what, () => this.#inOneState(options));
  }

  /** Lists the rows in the order in which they were first accepted. Fetches page by page. */
  evals(filter: EvalFilter = {}, options?: CallOptions): AsyncGenerator<EvalResult> {
    const { name, minStep, maxStep } = filter;
    const request = {
      ...this.#identity,
      name,
      minStep: minStep === undefined ? undefined : toStep(minStep),
      maxStep: maxStep === undefined ? undefined : toStep(maxStep),
    };
    return pages(async (pageToken) => {
      const asked = { ...request, pageToken };
      const page = await this.#connection.call(ResultsService.method.listEvals, asked, options);
      return { items: page.evals, nextPageToken: page.nextPageToken };
    });
  }

  /** Deletes the arm with its rows. Returns the revision of the experiment after that. */
  async delete(options: DeleteOptions = {}): Promise<bigint> {
    const request = { ...this.#identity, allowMissing: options.allowMissing };
    const { deleteArm } = RecordingService.method;
    return (await this.#connection.call(deleteArm, request, options)).revision;
  }

  get #identity(): { experiment: string; arm: string } {
    return { experiment: this.experiment, arm: this.name };
  }

  /** Returns the arm, or undefined if it changed while its rows were read. */
  async #inOneState(options?: CallOptions): Promise<ArmResult | undefined> {
    const { getArm, listEvals } = ResultsService.method;
    const response = await this.#connection.call(getArm, this.#identity, options);
    const found = new ArmResult(response.armResult ?? {});
    let pageToken = response.nextEvalsPageToken;
    while (pageToken !== "") {
      const request = { ...this.#identity, pageSize: largestPage, pageToken };
      const page = await this.#connection.call(listEvals, request, options);
      if (page.revision !== found.message.revision) {
        return undefined;
      }
      found.evals.push(...page.evals);
      pageToken = page.nextPageToken;
    }
    return found;
  }
}
