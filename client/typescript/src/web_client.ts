import { ClientBase } from "./client_base.js";
import { type CallTimeouts, Connection } from "./connection.js";
import { WebLink, type WebOptions } from "./web_link.js";

/** Options of a client. */
export interface ClientOptions extends CallTimeouts, WebOptions {}

/** A client of the HTTP port of a Podium server, for web pages. Its calls may overlap. */
export class Client extends ClientBase {
  /**
   * Makes a client. The first call connects.
   *
   * @param address The URL of the server. The default is the server of the page itself.
   * @throws TypeError The address is not a URL of HTTP or HTTPS.
   * @throws RangeError A timeout is not positive and finite.
   */
  constructor(address = ownOrigin(), options: ClientOptions = {}) {
    super(new Connection(new WebLink(address, options), options));
  }
}

function ownOrigin(): string {
  return (globalThis as { location?: { origin: string } }).location?.origin ?? "";
}
