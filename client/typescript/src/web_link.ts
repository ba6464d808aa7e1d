import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

import type { InterceptorOptions, Link } from "./connection.js";
import { isLoopback, withToken } from "./tokens.js";

/** Options of the calls of a web page. */
export interface WebOptions extends InterceptorOptions {
  /** The token of each call. */
  readonly token?: string | undefined;
}

/** A connection to a server by Connect, with the fetch API. */
export class WebLink implements Link {
  readonly address: string;
  readonly transport: Transport;
  readonly #closed = new AbortController();

  constructor(address: string, { token, interceptors = [] }: WebOptions) {
    const url = urlOf(address);
    this.address = address;
    const isPrivate = url.protocol === "https:" || isLoopback(url.hostname);
    const authorized = withToken(() => token?.trim(), isPrivate, address, "use https");
    this.transport = createConnectTransport({
      baseUrl: address.replace(/\/+$/, ""),
      useBinaryFormat: true,
      interceptors: [authorized, ...interceptors, unavailableIfLost],
      fetch: (input, init) => fetch(input, { ...init, signal: this.#endedBy(init?.signal) }),
    });
  }

  close(): void {
    this.#closed.abort();
  }

  #endedBy(signal: AbortSignal | null | undefined): AbortSignal {
    return AbortSignal.any([...(signal ? [signal] : []), this.#closed.signal]);
  }
}

function urlOf(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`an address is http://HOST:PORT or https://HOST, not ${JSON.stringify(address)}`);
  }
  return url;
}

/** Gives the code UNAVAILABLE to errors of fetch for a lost or missing connection. */
const unavailableIfLost: Interceptor = (next) => async (request) => {
  const response = await next(request).catch(rethrown);
  return response.stream ? { ...response, message: messages(response.message) } : response;
};

async function* messages<T>(responses: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* responses;
  } catch (error) {
    rethrown(error);
  }
}

/** Converts errors: Connect throws a string if a stream ends early, and fetch a TypeError for any failure. */
function rethrown(error: unknown): never {
  if (error instanceof TypeError || typeof error === "string") {
    throw new ConnectError(String(error), Code.Unavailable, undefined, undefined, error);
  }
  throw error;
}
