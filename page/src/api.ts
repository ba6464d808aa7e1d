/**
 * The calls of the page, with the same-origin cookie. They use the project's client without its
 * handles, since the handles would add the code for recording to the scripts of the page.
 */

import { Connection } from "podium-client/connection";
import type { PodiumError } from "podium-client/errors";
import { watch, type WatchOptions } from "podium-client/watching";
import { WebLink } from "podium-client/web_link";
import { type Experiment, type Metric, ResultsService, type WatchResponse } from "podium-client/v1";

import { observed } from "./connection";

/** The connection to the server that the page is from. */
export const client = new Connection(new WebLink(location.origin, { interceptors: [observed] }), {});

/** The updates of an experiment, from the marker of `options.after` on. */
export function updatesOf(experiment: string, options: WatchOptions): AsyncGenerator<WatchResponse> {
  return watch(client, experiment, options);
}

/** The reading calls of the protocol. */
export const reads = ResultsService.method;

/** The items of a list, page by page, up to a number of them. */
export async function collected<P extends { nextPageToken: string }, T>(
  page: (pageToken: string) => Promise<P>,
  items: (page: P) => T[],
  most = Infinity,
): Promise<T[]> {
  const found: T[] = [];
  let token = "";
  do {
    const next = await page(token);
    found.push(...items(next));
    token = next.nextPageToken;
  } while (token !== "" && found.length < most);
  return found;
}

/** All experiments that the user may see. */
export function listExperiments(signal: AbortSignal): Promise<Experiment[]> {
  const page = (pageToken: string) =>
    client.call(reads.listExperiments, { pageSize: 1000, pageToken }, { signal });
  return collected(page, (found) => found.experiments);
}

/** The metrics of an experiment, or the first 2,000 or more of them. */
export function listMetrics(experiment: string, signal: AbortSignal): Promise<Metric[]> {
  const page = (pageToken: string) =>
    client.call(reads.listMetrics, { experiment, pageSize: 1000, pageToken }, { signal });
  return collected(page, (found) => found.metrics, 2_000);
}

/** The scores of all arms by name: for each metric a score, or undefined if the arm has none. */
export async function listScores(
  experiment: string, metrics: string[], signal: AbortSignal,
): Promise<Map<string, (number | undefined)[]>> {
  const page = (pageToken: string) =>
    client.call(reads.scores, { experiment, metrics, pageSize: 1000, pageToken }, { signal });
  const rows = await collected(page, ({ arms, columns }) => arms.map(({ arm }, index) =>
    [arm, columns.map(({ present, values }) => (present[index] ? values[index] : undefined))] as const));
  return new Map(rows);
}

/** The page cannot read the token's cookie. This only remembers that there is one. */
const signedIn = "podium.signed_in";

/** Whether the user's token is kept. */
export function isSignedIn(): boolean {
  return localStorage.getItem(signedIn) !== null;
}

/** Keeps the user's token for the calls of the page. Returns an error text if it is not valid. */
export async function signIn(token: string): Promise<string | undefined> {
  const response = await fetch("session", { method: "POST", body: token });
  if (!response.ok) {
    return ((await response.json()) as { message: string }).message;
  }
  localStorage.setItem(signedIn, "yes");
  return undefined;
}

/** Forgets the user's token. */
export async function signOut(): Promise<void> {
  await fetch("session", { method: "DELETE" });
  localStorage.removeItem(signedIn);
}

/** The wait before a failed call is repeated, such as after a restart of the server. */
export const againMs = 3_000;

/** Whether a failed call may succeed if it is repeated later. */
export function isTransient(error: unknown): boolean {
  return ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"].includes((error as PodiumError).code);
}

/** Whether a call failed because its experiment or arm does not exist. */
export function isMissing(error: unknown): boolean {
  return (error as PodiumError).code === "NOT_FOUND";
}
