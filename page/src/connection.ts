/** Observes the calls of the page: whether the server answers, and whether it requires a token. */

import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/** The server sends a message every 10 seconds. A stream without one for this time is lost. */
const silentMs = 30_000;

const heard = new Set<(isHeard: boolean) => void>();
const refused = new Set<() => void>();

/** Calls a listener when a stream has a message or is lost. Returns a function that removes it. */
export function onHeard(listener: (isHeard: boolean) => void): () => void {
  heard.add(listener);
  return () => heard.delete(listener);
}

/** Calls a listener when a call needs a valid token. Returns a function that removes it. */
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
    // Not awaited, since the iterator may wait for a message that never arrives.
    void iterator.return?.();
  }
}

/** Waits for a message. After a silence, fails as if the connection were lost. */
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
