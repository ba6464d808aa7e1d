import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";

import { Http2SessionManager } from "@connectrpc/connect-node";

/**
 * Connect's sessions, without pings after the end of a session.
 *
 * When a stream ends, Connect sets its timer for pings again, even if the client or the server has closed
 * the session. The ping then throws an error that nobody can catch, which ends the process (connect-node
 * 2.1.2).
 */
export class Sessions extends Http2SessionManager {
  readonly #guarded = new WeakSet<ClientHttp2Session>();

  override async request(
    ...call: Parameters<Http2SessionManager["request"]>
  ): Promise<ClientHttp2Stream> {
    const stream = await super.request(...call);
    const { session } = stream as { session?: ClientHttp2Session };
    if (session !== undefined && !this.#guarded.has(session)) {
      this.#guarded.add(session);
      guard(session);
    }
    return stream;
  }
}

function guard(session: ClientHttp2Session): void {
  const ping = session.ping.bind(session) as (...given: unknown[]) => boolean;
  session.ping = (...given: unknown[]): boolean => !session.destroyed && ping(...given);
}
