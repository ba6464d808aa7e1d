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

import { fromCall, isLost, neverLeft, outcomeUnknown, PodiumError, reasonOf } from "./errors.js";
import { hasPosition, isRetried, pauseAfter, pausedBefore } from "./retries.js";

/** How a single call is made. */
export interface CallOptions {
  /** How long it may take, in milliseconds, all its attempts together. */
  readonly timeoutMs?: number | undefined;
  /** Ends it early. */
  readonly signal?: AbortSignal | undefined;
  /** Metadata that it sends. With `authorization`, it does not send the client's token. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** How long the calls of a client may take. */
export interface CallTimeouts {
  /** How long a call that reads may take unless it says otherwise, in milliseconds; else 10,000. */
  readonly readTimeoutMs?: number | undefined;
  /** How long a call that changes something may take, likewise; else 30,000. */
  readonly writeTimeoutMs?: number | undefined;
}

/** What a client adds to its calls. */
export interface InterceptorOptions {
  /** What each call goes through, such as what adds metadata to its headers. */
  readonly interceptors?: Interceptor[] | undefined;
}

/** The way to a server. */
export interface Link {
  /** The address that errors name. */
  readonly address: string;
  readonly transport: Transport;
  /** Ends the calls under way. */
  close(): void;
}

/** How long a call that reads may take, in milliseconds, unless it says otherwise. */
export const readTimeoutMs = 10_000;
/** How long a call that changes something may take, in milliseconds, likewise. */
export const writeTimeoutMs = 30_000;

const longestTimeoutMs = 2 ** 31 - 1;

/** Carries out calls to one server. The connection is opened by the first one. */
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
   * Makes a call, again and again within its time: one that reads, or whose events have their place in
   * a stream, while no server answers, and any that an overloaded server refuses.
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
    const end = performance.now() + checkedTimeout(options.timeoutMs ?? (isWrite ? write : read));
    const message = create(method.input, request);
    const isSentOnce = isWrite && !hasPosition(message);
    let maybeStored = false;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(method, message, end, options);
      } catch (error) {
        const failed = this.#cause(error, options.signal);
        maybeStored ||= isWrite && !neverLeft(failed) && reasonOf(failed) === "";
        if (!isRetried(failed, isSentOnce)) {
          throw fromCall(failed, this.address, maybeStored && reasonOf(failed) === "");
        }
        const pause = pauseAfter(attempt, failed);
        if (!(await this.#paused(end, pause, maybeStored, options.signal))) {
          throw fromCall(failed, this.address, maybeStored);
        }
      }
    }
  }

  /**
   * Makes a call that has several responses, once.
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

  /** Closes the connection; calls under way are cancelled. */
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
      throw new Error("no call of a closed client is sent");
    }
  }

  /**
   * What ended an attempt. Connect has several codes for a connection that was lost or never there,
   * and a server that stops cancels what has just arrived: in each case no server answers.
   */
  #cause(error: unknown, signal: AbortSignal | undefined): ConnectError {
    if (this.#isClosed) {
      return new ConnectError("the client is closed; make a new one", Code.Canceled);
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

/** Timers take other numbers for a moment, so that a call would end before it began. */
function checkedTimeout(milliseconds: number): number {
  if (!(milliseconds > 0 && milliseconds <= longestTimeoutMs)) {
    throw new RangeError(`a timeout is between 0 and ${longestTimeoutMs} ms, not ${milliseconds}`);
  }
  return milliseconds;
}
