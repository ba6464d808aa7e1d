import { ClientBase } from "./client_base.js";
import { type CallTimeouts, Connection } from "./connection.js";
import { WebLink, type WebOptions } from "./web_link.js";

/** How a client makes its calls. */
export interface ClientOptions extends CallTimeouts, WebOptions {}

/** A client of the HTTP port of a Podium server, for web pages. Its calls may overlap. */
export class Client extends ClientBase {
  /**
   * Makes no call yet.
   *
   * @param address The URL of the server; else that of the page's own server.
   * @throws TypeError It is not an address of HTTP.
   * @throws RangeError A timeout is not positive and finite.
   */
  constructor(address = ownOrigin(), options: ClientOptions = {}) {
    super(new Connection(new WebLink(address, options), options));
  }
}

function ownOrigin(): string {
  return (globalThis as { location?: { origin: string } }).location?.origin ?? "";
}
