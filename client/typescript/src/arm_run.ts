import type { MessageInitShape } from "@bufbuild/protobuf";

import { ArmHandle } from "./arm_handle.js";
import type { CallOptions, Connection } from "./connection.js";
import { PodiumError } from "./errors.js";
import { armFinished, armStarted, evalRecorded, metricsRecorded } from "./events.js";
import { ArmStatus } from "./podium/v1/arm_result_pb.js";
import type { Event } from "./podium/v1/event_pb.js";
import { RecordingService } from "./podium/v1/recording_service_pb.js";
import type { RunConfigSchema } from "./podium/v1/run_config_pb.js";
import type { RunResultSchema } from "./podium/v1/run_result_pb.js";
import type { ValueSchema } from "./podium/v1/value_pb.js";
import { toStep } from "./steps.js";

/** Options of an attempt. Timeout, signal and headers are used for all of its calls. */
export interface StartOptions extends CallOptions {
  /** The name of the arm. The default is the name of the configuration. */
  readonly name?: string | undefined;
  /** The id of the group of arms that repeat one configuration. */
  readonly groupId?: string | undefined;
  /** The name of that group. */
  readonly groupName?: string | undefined;
  /** The id of the training run in the system that runs it. */
  readonly runId?: string | undefined;
  /** An id that no other attempt uses. The default is random. */
  readonly attemptId?: string | undefined;
  /**
   * The attempt with the greatest order is the newest. The default is the time in milliseconds since
   * 1970. If a scheduler counts restarts, its count is better.
   */
  readonly order?: bigint | number | undefined;
  /** Continues after this step: metrics and in-loop rows up to it are kept. */
  readonly resumeStep?: bigint | number | undefined;
  /** Starts the arm from the beginning, even if it has completed. */
  readonly restart?: boolean | undefined;
}

/** An eval row. A row without a step is a post-training row. */
export interface EvalRow {
  /** The name of the eval. */
  readonly name: string;
  /** The measured numbers by key. */
  readonly metrics: Record<string, number>;
  /** The training step of an in-loop row. */
  readonly step?: bigint | number | undefined;
  /** Labels. `test` makes a post-training row a candidate for the primary eval. */
  readonly tags?: string[] | undefined;
  /** Results of parts of the benchmark: `{ math: toValue(0.5) }`. */
  readonly breakdowns?: Record<string, MessageInitShape<typeof ValueSchema>> | undefined;
  /** The id of the benchmark, if it differs from the name. */
  readonly benchmarkId?: string | undefined;
  /** The duration of the evaluation. */
  readonly evalSeconds?: number | undefined;
  /** The model that was scored, if it is not the arm's own. */
  readonly modelRef?: string | undefined;
}

/** The end of a training. */
export interface FinishOptions {
  /** Completed, failed or cancelled. The default is completed. */
  readonly status?: ArmStatus | undefined;
  /** The reason of a failure. */
  readonly error?: string | undefined;
  /** The duration of the training. */
  readonly trainSeconds?: number | undefined;
  /** The result of the training backend. */
  readonly runResult?: MessageInitShape<typeof RunResultSchema> | undefined;
}

// The longest error text that is sent. The server shortens texts further.
const maxErrorLength = 2 ** 19;
const maxCauses = 10;

/**
 * An attempt at training an arm, which `startArm` starts. It makes one call at a time.
 *
 * Each call records one event, and returns after the server has stored it. Until its timeout it is
 * repeated if no server answers or the connection breaks. The event is stored exactly once. It is lost
 * only if the call fails or the process ends before. A call that fails throws a `PodiumError`.
 */
export class ArmRun extends ArmHandle {
  /** The id of this attempt. */
  readonly attemptId: string;
  readonly #connection: Connection;
  readonly #options: CallOptions;
  #turn: Promise<unknown> = Promise.resolve();
  #writerId = crypto.randomUUID();
  #sequence = 1n;
  #ending: FinishOptions | undefined;
  #isFinished = false;

  private constructor(
    connection: Connection, experiment: string, name: string, attemptId: string, options: CallOptions,
  ) {
    super(connection, experiment, name);
    this.#connection = connection;
    this.attemptId = attemptId;
    this.#options = options;
  }

  /** @internal `startArm` of an experiment starts attempts. */
  static async start(
    connection: Connection,
    experiment: string,
    runConfig: MessageInitShape<typeof RunConfigSchema>,
    options: StartOptions,
  ): Promise<ArmRun> {
    const { timeoutMs, signal, headers, groupId, groupName, runId, order = Date.now() } = options;
    const arm = options.name ?? runConfig.name ?? "";
    const attempt = { id: options.attemptId ?? crypto.randomUUID(), order: toStep(order) };
    const mode = modeOf(options);
    const started = armStarted({ arm, runConfig, attempt, groupId, groupName, runId, mode });
    const calls = { timeoutMs, signal, headers };
    const run = new ArmRun(connection, experiment, arm, attempt.id, calls);
    await run.#record(started);
    return run;
  }

  /**
   * Records training metrics. The latest value of each key is kept. With a step, the values are also
   * points of the training series.
   */
  async log(metrics: Record<string, number>, step?: bigint | number): Promise<void> {
    const event = metricsRecorded(this.name, metrics, this.attemptId);
    if (step !== undefined && event.kind.case === "metricsRecorded") {
      event.kind.value.step = toStep(step);
    }
    await this.#record(event);
  }

  /** Records an eval row. It replaces a row with the same name and step. */
  async logEval(row: EvalRow): Promise<void> {
    const { name, metrics, tags, breakdowns, benchmarkId, evalSeconds, modelRef } = row;
    const step = row.step === undefined ? undefined : toStep(row.step);
    const given = { name, metrics, step, tags, breakdowns, benchmarkId, evalSeconds, modelRef };
    await this.#record(evalRecorded(this.name, given, this.attemptId));
  }

  /** Records how the training ended. A later call replaces an earlier one. */
  async finish(options: FinishOptions = {}): Promise<void> {
    await this.#finish(options, this.#options);
  }

  /**
   * Calls a function with this attempt and records the end: completed if it returns, else failed with
   * its error, or cancelled if it was aborted. After `finish` no other end is recorded.
   *
   * @internal
   */
  async train<T>(block: (run: ArmRun) => Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await block(this);
    } catch (error) {
      await this.#end(endOf(error)).catch((failure: unknown) => {
        const text = `Podium could not record how arm ${JSON.stringify(this.name)} ended`;
        throw new AggregateError([error, failure], `${String(error)}; ${text}: ${String(failure)}`);
      });
      throw error;
    }
    await this.#end({});
    return result;
  }

  /** If `finish` was called but failed, its end is recorded instead. */
  async #end(options: FinishOptions): Promise<void> {
    if (!this.#isFinished) {
      // The end is recorded even if the training was aborted.
      await this.#finish(this.#ending ?? options, { ...this.#options, signal: undefined });
    }
  }

  async #finish(options: FinishOptions, calls: CallOptions): Promise<void> {
    this.#ending = options;
    const { status = ArmStatus.COMPLETED, trainSeconds, runResult } = options;
    const error = options.error === undefined ? undefined : errorText(options.error);
    const ended = { arm: this.name, attemptId: this.attemptId, status, error, trainSeconds, runResult };
    await this.#record(armFinished(ended), calls);
    this.#isFinished = true;
  }

  /** Records the next event of the stream. One call at a time keeps the events in order. */
  #record(event: Event, options = this.#options): Promise<void> {
    const call = this.#turn.then(() => this.#send(event, options));
    this.#turn = call.catch(() => undefined);
    return call;
  }

  async #send(event: Event, options: CallOptions): Promise<void> {
    const position = { writerId: this.#writerId, firstSequence: this.#sequence };
    const request = { experiment: this.experiment, events: [event], position };
    try {
      await this.#connection.call(RecordingService.method.record, request, options);
      this.#sequence++;
    } catch (error) {
      // The server may get the failed call later, and would skip another event in its place.
      this.#writerId = crypto.randomUUID();
      this.#sequence = 1n;
      throw error;
    }
  }
}

type Mode = { case: "resumeStep"; value: bigint } | { case: "restart"; value: true };

function modeOf({ resumeStep, restart = false }: StartOptions): Mode | { case: undefined } {
  if (resumeStep === undefined) {
    return restart ? { case: "restart", value: true } : { case: undefined };
  }
  if (restart) {
    throw new TypeError("give resumeStep, to resume, or restart, to start over; not both");
  }
  return { case: "resumeStep", value: toStep(resumeStep) };
}

function endOf(error: unknown): FinishOptions {
  const isAborted =
    error instanceof PodiumError
      ? error.code === "CANCELLED"
      : error instanceof Error && error.name === "AbortError";
  return { status: isAborted ? ArmStatus.CANCELLED : ArmStatus.FAILED, error: traceback(error) };
}

/** The stack of an error and those of its causes. */
function traceback(error: unknown, depth = 0): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const stack = error.stack ?? "";
  // Some browsers leave the message out of the stack.
  const text = stack.includes(error.message) ? stack : `${String(error)}\n${stack}`;
  const hasCause = error.cause !== undefined && depth < maxCauses;
  return hasCause ? `${text}\nCaused by: ${traceback(error.cause, depth + 1)}` : text;
}

/** A text that can be sent: without NUL, lone surrogates, and the middle of a text that is too long. */
function errorText(text: string): string {
  const half = maxErrorLength / 2;
  const short = text.length <= maxErrorLength ? text : `${text.slice(0, half)}\n…\n${text.slice(-half)}`;
  return short.replaceAll("\0", "\\x00").replace(/[\ud800-\udfff]/gu, "\ufffd");
}
