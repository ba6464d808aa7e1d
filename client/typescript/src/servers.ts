import { ConnectError, type Transport } from "@connectrpc/connect";

import type { Link } from "./connection.js";
import { isOfServer } from "./errors.js";

/** The time for which a server that has failed gets no calls while there are others. */
const leftOutMs = 1_000;

/** Connections to several servers with the same results. They get calls in turns. */
export class Servers implements Link {
  readonly address: string;
  readonly others: number;
  readonly transport: Transport;
  readonly #links: readonly Link[];
  /** The time, by `performance.now()`, until which a server gets no calls. */
  readonly #leftOut = new Map<Link, number>();
  #turns = 0;

  constructor(address: string, links: readonly Link[]) {
    this.address = address;
    this.others = links.length - 1;
    this.#links = links;
    this.transport = {
      unary: ((...call) => this.#ask((transport) => transport.unary(...call))) as Transport["unary"],
      stream: ((...call) => this.#ask((transport) => transport.stream(...call))) as Transport["stream"],
    };
  }

  close(): void {
    this.#links.forEach((link) => link.close());
  }

  async #ask<T>(call: (transport: Transport) => Promise<T>): Promise<T> {
    const link = this.#next();
    try {
      return await call(link.transport);
    } catch (error) {
      if (isOfServer(ConnectError.from(error))) {
        this.#leftOut.set(link, performance.now() + leftOutMs);
      }
      throw error;
    }
  }

  /** Returns the server whose turn it is. Those that have failed lately are left out. */
  #next(): Link {
    const first = this.#turns++ % this.#links.length;
    const inTurn = [...this.#links.slice(first), ...this.#links.slice(0, first)];
    const now = performance.now();
    return inTurn.find((link) => (this.#leftOut.get(link) ?? now) <= now) ?? inTurn[0]!;
  }
}
