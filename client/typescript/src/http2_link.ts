import type { Socket } from "node:net";

import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import type { InterceptorOptions, Link } from "./connection.js";
import { type Place, Security, type SecurityOptions } from "./security.js";
import { Servers } from "./servers.js";
import { Sessions } from "./sessions.js";
import { isLoopback } from "./tokens.js";

const defaultAddress = "localhost:50051";
const addressForm =
  /^(?:unix:(?<path>.+)|(?<host>\[[^\]\s]+\]|[^:/\s[\]]+):(?<port>[0-9]{1,5}))$/;
const mostPort = 65_535;
// A response is larger than the request that recorded it: it also has times and revisions.
const maxResponseBytes = 16 << 20;

/** Options of a connection from Node.js. */
type Http2Options = InterceptorOptions & SecurityOptions;

/**
 * Returns a connection to a server, or to several servers with the same results.
 *
 * @throws TypeError One of the addresses is malformed.
 */
export function linkTo(
  list = process.env["PODIUM_ADDRESS"] || defaultAddress, options: Http2Options,
): Link {
  const text = list.trim();
  const given = text.startsWith("unix:") ? [text] : text.split(",").map((each) => each.trim());
  const addresses = [...new Set(given)];
  const places = addresses.map((address) => placeOf(address, given.length > 1));
  const isNear = places.every((place) => "path" in place || isLoopback(place.host));
  const links = addresses.map((each, at) => new Http2Link(each, places[at]!, isNear, options));
  return links.length === 1 ? links[0]! : new Servers(addresses.join(","), links);
}

/** A gRPC connection to a server, from Node.js. */
class Http2Link implements Link {
  readonly address: string;
  readonly transport: Transport;
  readonly #session: Sessions;
  #socket: Socket | undefined;

  constructor(
    address: string,
    place: Place,
    isNear: boolean,
    { interceptors = [], ...security }: Http2Options,
  ) {
    this.address = address;
    const secure = new Security(address, place, isNear, security);
    this.#session = this.#sessionBy(secure);
    this.transport = createGrpcTransport({
      baseUrl: this.#session.authority,
      sessionManager: this.#session,
      readMaxBytes: maxResponseBytes,
      interceptors: [...secure.interceptors, ...interceptors],
    });
  }

  close(): void {
    // This comes first, because the server logs the cancellation that an aborted session sends.
    this.#socket?.destroy();
    this.#session.abort(new ConnectError("the client was closed", Code.Canceled));
  }

  #sessionBy(secure: Security): Sessions {
    const createConnection = (): Socket => (this.#socket = secure.connect());
    const place = this.address.startsWith("unix:") ? "localhost" : this.address;
    return new Sessions(
      `${secure.isEncrypted ? "https" : "http"}://${place}`,
      // Pings detect a server that is gone without closing the connection.
      { pingIntervalMs: 30_000, pingTimeoutMs: 10_000, pingIdleConnection: true },
      { createConnection },
    );
  }
}

function placeOf(address: string, isOneOfSeveral: boolean): Place {
  const { path, host, port } = addressForm.exec(address)?.groups ?? {};
  if (path !== undefined && !isOneOfSeveral) {
    return { path };
  }
  if (host === undefined || Number(port) > mostPort) {
    throw new TypeError(`an address is HOST:PORT or unix:PATH, not ${JSON.stringify(address)}`);
  }
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}
