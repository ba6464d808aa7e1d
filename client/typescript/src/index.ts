/**
 * A client of Podium, the results service of machine-learning experiments.
 *
 * @packageDocumentation
 */

export { Client, type ClientOptions } from "./client.js";
export * from "./common.js";
export type { SecurityOptions, TLS } from "./security.js";
