import type { Socket } from "node:net";

import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import type { InterceptorOptions, Link } from "./connection.js";
import { type Place, Security, type SecurityOptions } from "./security.js";
import { Sessions } from "./sessions.js";

const defaultAddress = "localhost:50051";
const addressForm =
  /^(?:unix:(?<path>.+)|(?<host>\[[^\]\s]+\]|[^:/\s[\]]+):(?<port>[0-9]{1,5}))$/;
// What was recorded in a message of 4 MiB comes back with times and revisions.
const maxResponseBytes = 16 << 20;

/** The way to a server by gRPC, from Node.js. */
export class Http2Link implements Link {
  readonly address: string;
  readonly transport: Transport;
  readonly #session: Sessions;
  #socket: Socket | undefined;

  constructor(
    address = process.env["PODIUM_ADDRESS"] || defaultAddress,
    { interceptors = [], ...security }: InterceptorOptions & SecurityOptions,
  ) {
    this.address = address;
    const secure = new Security(address, placeOf(address), security);
    this.#session = this.#sessionBy(secure);
    this.transport = createGrpcTransport({
      baseUrl: this.#session.authority,
      sessionManager: this.#session,
      readMaxBytes: maxResponseBytes,
      interceptors: [...secure.interceptors, ...interceptors],
    });
  }

  close(): void {
    // First, so that the server sees no more than an end: a session that is aborted tells it of a
    // cancellation, which it would log.
    this.#socket?.destroy();
    this.#session.abort(new ConnectError("the client was closed", Code.Canceled));
  }

  #sessionBy(secure: Security): Sessions {
    const createConnection = (): Socket => (this.#socket = secure.connect());
    const place = this.address.startsWith("unix:") ? "localhost" : this.address;
    return new Sessions(
      `${secure.isEncrypted ? "https" : "http"}://${place}`,
      // Notices a server that vanished without a word.
      { pingIntervalMs: 30_000, pingTimeoutMs: 10_000, pingIdleConnection: true },
      { createConnection },
    );
  }
}

function placeOf(address: string): Place {
  const { path, host, port } = addressForm.exec(address)?.groups ?? {};
  if (path !== undefined) {
    return { path };
  }
  if (host === undefined) {
    throw new TypeError(`an address is HOST:PORT or unix:PATH, not ${JSON.stringify(address)}`);
  }
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}
