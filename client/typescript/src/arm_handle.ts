import { ArmResult, type Score } from "./arm_result.js";
import type { CallOptions, Connection } from "./connection.js";
import { inOneState, largestPage, pages } from "./pages.js";
import type { EvalResult } from "./podium/v1/eval_result_pb.js";
import { RecordingService } from "./podium/v1/recording_service_pb.js";
import { ResultsService } from "./podium/v1/results_service_pb.js";
import { toStep } from "./steps.js";

/** Which rows a list has; nothing said means all. */
export interface EvalFilter {
  /** Only rows with this eval name. */
  readonly name?: string;
  /** Only in-loop rows at this step or later. */
  readonly minStep?: bigint | number;
  /** Only in-loop rows at this step or earlier. */
  readonly maxStep?: bigint | number;
}

/** How something is deleted. */
export interface DeleteOptions extends CallOptions {
  /** Whether it is all right if it does not exist. */
  readonly allowMissing?: boolean;
}

/** An arm on a server. Every method that calls throws a `PodiumError` if the call fails. */
export class ArmHandle {
  /** The name of its experiment. */
  readonly experiment: string;
  /** Its name. */
  readonly name: string;
  readonly #connection: Connection;

  /** @internal `client` makes handles. */
  constructor(connection: Connection, experiment: string, name: string) {
    this.#connection = connection;
    this.experiment = experiment;
    this.name = name;
  }

  /**
   * Without a step: the post-training row of that name if there is one, else the in-loop row with
   * the greatest step. With a step, 0 and negatives included: the in-loop row at exactly that step.
   * Else undefined; an arm that does not exist is an error.
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

  /** The number of a metric; undefined if there is none. NaN is a number. */
  async score(metric: string, options?: CallOptions): Promise<number | undefined> {
    return (await this.findScore(metric, options))?.value;
  }

  /** The score on a metric and where it came from; undefined if there is none. */
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

  /** The whole arm as of one revision. One that changes too fast is an error, ABORTED. */
  async get(options?: CallOptions): Promise<ArmResult> {
    const what = `arm ${JSON.stringify(this.name)} of ${JSON.stringify(this.experiment)}`;
    return inOneState(what, () => this.#inOneState(options));
  }

  /** The rows in the order in which they were first accepted, fetched page by page. */
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

  /** Deletes the arm with its rows, and answers the experiment's revision after it. */
  async delete(options: DeleteOptions = {}): Promise<bigint> {
    const request = { ...this.#identity, allowMissing: options.allowMissing };
    const { deleteArm } = RecordingService.method;
    return (await this.#connection.call(deleteArm, request, options)).revision;
  }

  get #identity(): { experiment: string; arm: string } {
    return { experiment: this.experiment, arm: this.name };
  }

  /** Undefined if the arm changed while its rows were read. */
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
