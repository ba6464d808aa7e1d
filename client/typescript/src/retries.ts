import { isMessage, type Message } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";

import { isTurnedAway, retryDelayMs } from "./errors.js";
import { RecordRequestSchema } from "./podium/v1/recording_service_pb.js";

const firstPauseMs = 100;
const longestPauseMs = 1_000;
// A watch has no time limit.
const longestWatchPauseMs = 10_000;

/**
 * Returns whether a failed call is retried: if the server rejected it before any work, or if no server
 * answers and the call is not a write that could be applied twice.
 */
export function isRetried(failed: ConnectError, isSentOnce: boolean): boolean {
  return isTurnedAway(failed) || (failed.code === Code.Unavailable && !isSentOnce);
}

/** Returns whether a request has a position in a stream, so that the server applies it once. */
export function hasPosition(request: Message): boolean {
  return isMessage(request, RecordRequestSchema) && request.position !== undefined;
}

/**
 * Returns the delay after a failed attempt, counted from 0. It is the delay that the server asks for, or
 * else doubles with each attempt, varied at random by up to 20 %.
 */
export function pauseAfter(attempt: number, failed: ConnectError): number {
  const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** attempt);
  return retryDelayMs(failed) || longest * (0.8 + 0.4 * Math.random());
}

/**
 * Returns the delay of a watch after a failed attempt: random, up to a limit that doubles with each
 * attempt, so that not all clients of a lost server reconnect at once. It is at least the delay that the
 * server asks for.
 */
export function watchPauseAfter(attempt: number, failed: ConnectError): number {
  const longest = Math.min(longestWatchPauseMs, firstPauseMs * 2 ** attempt);
  return Math.max(retryDelayMs(failed), longest * Math.random());
}

/**
 * Waits, and returns true. If the delay would end after the deadline, returns false at once.
 *
 * @param end The deadline, by `performance.now()`.
 * @throws The reason of the signal, if the call was cancelled meanwhile.
 */
export async function pausedBefore(
  end: number, milliseconds: number, signal: AbortSignal | undefined,
): Promise<boolean> {
  if (performance.now() + milliseconds >= end) {
    return false;
  }
  await sleep(milliseconds, signal);
  return performance.now() < end; // A timer can be late.
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort);
  });
}
