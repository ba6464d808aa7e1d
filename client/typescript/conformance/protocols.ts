/** Clients that make their calls over HTTP in the protocol that a request names. */

import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { Client } from "podium-client/browser";

import { ClientBase } from "../src/client_base.js";
import { Connection } from "../src/connection.js";

const transports: Record<string, (baseUrl: string) => Transport> = {
  "connect-json": (baseUrl) => createConnectTransport({ baseUrl }),
  "grpc-web": (baseUrl) => createGrpcWebTransport({ baseUrl }),
};

class ProtocolClient extends ClientBase {}

/** The client of web pages for its own protocol, and for others the same with another transport. */
export function httpClient(address: string, protocol: string): ClientBase {
  if (protocol === "connect") {
    return new Client(address);
  }
  const transport = transports[protocol]!(address);
  return new ProtocolClient(new Connection({ address, transport, close() {} }, {}));
}
