/** What the page notices of its calls: that the server is heard or lost, and that it wants a token. */

import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/** The server sends something every 10 seconds, so it is gone after three times that. */
const silentMs = 30_000;

const heard = new Set<(isHeard: boolean) => void>();
const refused = new Set<() => void>();

/** Calls a function whenever a stream is heard or lost. Returns what ends that. */
export function onHeard(listener: (isHeard: boolean) => void): () => void {
  heard.add(listener);
  return () => heard.delete(listener);
}

/** Calls a function whenever a call needs a token, or another one. Returns what ends that. */
export function onTokenNeeded(listener: () => void): () => void {
  refused.add(listener);
  return () => refused.delete(listener);
}

/** Observes each call. A stream that is silent for too long ends; the client then opens another. */
export const observed: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: watched(response.message) } : response;
  } catch (error) {
    noteFailure(error, request.stream);
    throw error;
  }
};

async function* watched<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const found = await inTime(iterator.next());
      if (found.done) {
        return;
      }
      heard.forEach((listener) => listener(true));
      yield found.value;
    }
  } catch (error) {
    noteFailure(error, true);
    throw error;
  } finally {
    // It may be waiting for a message that never arrives.
    void iterator.return?.();
  }
}

/** Fails as a lost connection does, after a silence. */
async function inTime<T>(next: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ConnectError("the server is silent", Code.Unavailable)), silentMs);
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}

function noteFailure(error: unknown, isStream: boolean): void {
  if (error instanceof ConnectError && error.code === Code.Unauthenticated) {
    refused.forEach((listener) => listener());
  } else if (isStream) {
    heard.forEach((listener) => listener(false));
  }
}
