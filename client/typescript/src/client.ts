import { ClientBase } from "./client_base.js";
import { type CallTimeouts, Connection, type InterceptorOptions } from "./connection.js";
import { linkTo } from "./http2_link.js";
import type { SecurityOptions } from "./security.js";

/** Options of a client. */
export interface ClientOptions extends CallTimeouts, InterceptorOptions, SecurityOptions {}

/**
 * A client of a Podium server. Its calls may overlap. It keeps the process alive until it is closed.
 * `using client = new Client()` closes it at the end of the block.
 */
export class Client extends ClientBase {
  /**
   * Makes a client. The first call connects.
   *
   * @param address `HOST:PORT`, `unix:PATH`, or `HOST:PORT,HOST:PORT` for several servers with the same
   *   results. They get calls in turns. If one stops or cannot be reached, the others get its calls. The
   *   default is the environment variable PODIUM_ADDRESS, or else localhost:50051.
   * @throws TypeError The address is not in one of these forms.
   * @throws RangeError A timeout is not positive and finite.
   */
  constructor(address?: string, options: ClientOptions = {}) {
    super(new Connection(linkTo(address, options), options));
  }
}
