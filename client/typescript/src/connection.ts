import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";

import { fromCall, isLost, isOfServer, neverLeft, outcomeUnknown, PodiumError, reasonOf } from "./errors.js";
import { hasPosition, isRetried, pauseAfter, pausedBefore } from "./retries.js";

/** Options of a single call. */
export interface CallOptions {
  /** The longest duration of the call with its retries, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined;
  /** Metadata of the call. With `authorization`, the client's token is not sent. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** The deadlines of a client's calls. */
export interface CallTimeouts {
  /** The deadline of a read in milliseconds, unless the call has another one. The default is 10,000. */
  readonly readTimeoutMs?: number | undefined;
  /** The deadline of a write in milliseconds, unless the call has another one. The default is 30,000. */
  readonly writeTimeoutMs?: number | undefined;
}

/** Interceptors of a client. */
export interface InterceptorOptions {
  /** Interceptors of Connect for each call, which can add metadata. */
  readonly interceptors?: Interceptor[] | undefined;
}

/** A connection to a server. */
export interface Link {
  /** The address that errors name. */
  readonly address: string;
  readonly transport: Transport;
  /** The number of other servers that get a call if one cannot. None by default. */
  readonly others?: number;
  /** Ends the running calls. */
  close(): void;
}

/** The default deadline of a read in milliseconds. */
export const readTimeoutMs = 10_000;
/** The default deadline of a write in milliseconds. */
export const writeTimeoutMs = 30_000;

const longestTimeoutMs = 2 ** 31 - 1;

/** Makes calls to one server. The first call connects. */
export class Connection {
  readonly #link: Link;
  readonly #timeouts: { read: number; write: number };
  #isClosed = false;

  constructor(link: Link, { readTimeoutMs: read, writeTimeoutMs: write }: CallTimeouts) {
    this.#link = link;
    this.#timeouts = {
      read: checkedTimeout(read ?? readTimeoutMs),
      write: checkedTimeout(write ?? writeTimeoutMs),
    };
  }

  /** The address that errors name. */
  get address(): string {
    return this.#link.address;
  }

  /**
   * Makes a call, with retries until its deadline. While no server answers, a read is retried, and a
   * write whose events have a position in a stream. If an overloaded server rejects a call, it is retried.
   *
   * @throws PodiumError
   * @throws RangeError The timeout is not positive and finite.
   */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const isWrite = method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
    const { read, write } = this.#timeouts;
    const timeoutMs = checkedTimeout(options.timeoutMs ?? (isWrite ? write : read));
    const end = performance.now() + timeoutMs;
    const message = create(method.input, request);
    const isSentOnce = isWrite && !hasPosition(message);
    const { others = 0 } = this.#link;
    let untried = others;
    let maybeStored = false;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(method, message, end, options);
      } catch (error) {
        const failed = this.#cause(error, options.signal);
        if (isOfServer(failed) && untried > 0) {
          untried -= 1; // It is the turn of the next server. The call has not run.
          continue;
        }
        untried = others;
        maybeStored ||= isWrite && !neverLeft(failed) && reasonOf(failed) === "";
        if (!isRetried(failed, isSentOnce)) {
          throw fromCall(failed, this.address, timeoutMs, maybeStored && reasonOf(failed) === "");
        }
        const pause = pauseAfter(attempt, failed);
        if (!(await this.#paused(end, pause, maybeStored, options.signal))) {
          throw fromCall(failed, this.address, timeoutMs, maybeStored);
        }
      }
    }
  }

  /**
   * Makes a call that has several responses, without retries.
   *
   * @throws ConnectError
   */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    { signal, headers }: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const ended = new AbortController();
    const both = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
    try {
      this.#checkOpen();
      const input = (async function* () { yield request; })();
      const response = await this.#link.transport.stream(method, both, undefined, headers, input);
      yield* response.message;
    } catch (error) {
      throw this.#cause(error, signal);
    } finally {
      ended.abort();
    }
  }

  /** Closes the connection, and cancels running calls. */
  close(): void {
    this.#isClosed = true;
    this.#link.close();
  }

  async #attempt<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageShape<I>,
    end: number,
    { signal, headers }: CallOptions,
  ): Promise<MessageShape<O>> {
    this.#checkOpen();
    // Connect takes 0 for no deadline at all.
    const left = Math.max(1, Math.ceil(end - performance.now()));
    const given = message as MessageInitShape<I>;
    const response = await this.#link.transport.unary(method, signal, left, headers, given);
    return response.message;
  }

  #checkOpen(): void {
    if (this.#isClosed) {
      throw new Error("this client is closed; create a new one");
    }
  }

  /**
   * Returns the error of an attempt. Connect has several codes for a lost or missing connection, and a
   * server that stops cancels new calls. All of these become UNAVAILABLE.
   */
  #cause(error: unknown, signal: AbortSignal | undefined): ConnectError {
    if (this.#isClosed) {
      return new ConnectError("this client is closed; create a new one", Code.Canceled);
    }
    const failed = ConnectError.from(error);
    if (signal?.aborted || !(failed.code === Code.Canceled || isLost(failed))) {
      return failed;
    }
    const { rawMessage, metadata, cause } = failed;
    return new ConnectError(rawMessage, Code.Unavailable, metadata, undefined, cause);
  }

  async #paused(
    end: number, pause: number, maybeStored: boolean, signal: AbortSignal | undefined,
  ): Promise<boolean> {
    try {
      return (await pausedBefore(end, pause, signal)) && !this.#isClosed;
    } catch {
      throw new PodiumError("CANCELLED", `the call was cancelled${maybeStored ? outcomeUnknown : ""}`);
    }
  }
}

/** Rejects timeouts that timers would treat as 1 ms. */
function checkedTimeout(milliseconds: number): number {
  if (!(milliseconds > 0 && milliseconds <= longestTimeoutMs)) {
    throw new RangeError(`a timeout is between 0 and ${longestTimeoutMs} ms, not ${milliseconds}`);
  }
  return milliseconds;
}
