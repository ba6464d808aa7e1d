import { ClientBase } from "./client_base.js";
import { type CallTimeouts, Connection, type InterceptorOptions } from "./connection.js";
import { Http2Link } from "./http2_link.js";
import type { SecurityOptions } from "./security.js";

/** How a client makes its calls. */
export interface ClientOptions extends CallTimeouts, InterceptorOptions, SecurityOptions {}

/**
 * A client of a Podium server. Its calls may overlap. It keeps the process alive until it is closed:
 * `using client = new Client()` closes it.
 */
export class Client extends ClientBase {
  /**
   * Makes no call yet.
   *
   * @param address `HOST:PORT` or `unix:PATH`; else what the environment variable PODIUM_ADDRESS
   *   says, or localhost:50051.
   * @throws TypeError It is neither.
   * @throws RangeError A timeout is not positive and finite.
   */
  constructor(address?: string, options: ClientOptions = {}) {
    super(new Connection(new Http2Link(address, options), options));
  }
}
