import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";

import { Http2SessionManager } from "@connectrpc/connect-node";

/**
 * Connect's sessions, but that one which is over is not asked whether it still lives.
 *
 * When a stream ends, Connect sets its timer for pings anew, even if its session was destroyed
 * meanwhile: by a client that is closed, or by a server that goes away. The ping then throws where
 * nobody can catch it, and ends the process (connect-node 2.1.2).
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
