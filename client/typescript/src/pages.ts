import { PodiumError } from "./errors.js";

/** The most items that a page of a list holds. */
export const largestPage = 1_000;

const attempts = 5;

/** One page of a list. */
export interface Page<T> {
  readonly items: T[];
  readonly nextPageToken: string;
}

/** Yields the items of a list, and fetches its pages when they are needed. */
export async function* pages<T>(
  fetch: (pageToken: string) => Promise<Page<T>>,
): AsyncGenerator<T, void, undefined> {
  for (let token = "", more = true; more; more = token !== "") {
    const page = await fetch(token);
    yield* page.items;
    token = page.nextPageToken;
  }
}

/**
 * Reads data that takes several calls, until all of it is of one state.
 *
 * @param read Returns undefined if the data changed between its calls.
 * @throws PodiumError ABORTED: the data changed in each attempt.
 */
export async function inOneState<T>(what: string, read: () => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const found = await read();
    if (found !== undefined) {
      return found;
    }
  }
  throw new PodiumError(
    "ABORTED",
    `${what} changed ${attempts} times while it was read: ` +
      "it is too busy to be read as a whole; try again, or ask for less",
  );
}
