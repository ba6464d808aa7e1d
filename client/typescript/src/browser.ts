/**
 * The client for web pages. It asks the HTTP port of a server, and needs nothing of Node.js.
 *
 * @packageDocumentation
 */

export * from "./common.js";
export { Client, type ClientOptions } from "./web_client.js";
export { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
