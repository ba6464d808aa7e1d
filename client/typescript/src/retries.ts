import { isMessage, type Message } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";

import { isOverloaded, retryDelayMs } from "./errors.js";
import { RecordRequestSchema } from "./podium/v1/recording_service_pb.js";

const firstPauseMs = 100;
const longestPauseMs = 1_000;
// A watch goes on without a time limit.
const longestWatchPauseMs = 10_000;

/**
 * Returns whether a call that failed is made again. An overloaded server rejects a call before it does
 * anything, so any call is repeated then. While no server answers, a call is repeated unless it is a
 * write that could be applied twice.
 */
export function isRetried(failed: ConnectError, isSentOnce: boolean): boolean {
  return isOverloaded(failed) || (failed.code === Code.Unavailable && !isSentOnce);
}

/** Returns whether a request has its place in a stream, so that a server applies it once. */
export function hasPosition(request: Message): boolean {
  return isMessage(request, RecordRequestSchema) && request.position !== undefined;
}

/**
 * Returns how long to wait after a failed attempt, counted from 0: as long as the server asks for,
 * else twice as long each time, within a fifth.
 */
export function pauseAfter(attempt: number, failed: ConnectError): number {
  const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** attempt);
  return retryDelayMs(failed) || longest * (0.8 + 0.4 * Math.random());
}

/**
 * Returns how long a watch waits after a failed attempt: any time up to twice as long each time, so
 * that clients that lost a server together do not return together, and at least as long as the server
 * asks for.
 */
export function watchPauseAfter(attempt: number, failed: ConnectError): number {
  const longest = Math.min(longestWatchPauseMs, firstPauseMs * 2 ** attempt);
  return Math.max(retryDelayMs(failed), longest * Math.random());
}

/**
 * Waits, and returns whether the call may be made again: not if the time of the call is over by then.
 * A pause that would end later does not even begin.
 *
 * @param end When the time of the call is over, by `performance.now()`.
 * @throws The reason of the signal: the call was given up meanwhile.
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
