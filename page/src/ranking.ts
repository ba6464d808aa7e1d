/** The rows of a leaderboard: pages of a ranking, which are loaded when they become visible. */

import { useEffect, useRef, useState } from "preact/hooks";

import { againMs, client, isTransient, reads } from "./api";
import type { ArmStatus, Direction, RankedArm, RankedGroup, RankResponse } from "podium-client/v1";

const firstRows = 50;
const pageRows = 1_000;
/** The ranking is loaded again at most this often. */
const refreshEveryMs = 250;

/** The parameters of a ranking. */
export interface Query {
  readonly experiment: string;
  readonly metric: string | undefined;
  readonly direction: Direction;
  readonly statuses: readonly ArmStatus[];
  readonly byGroup: boolean;
  readonly groupName: string | undefined;
}

/** The loaded rows, and the counts of all rows. */
export interface Ranking {
  readonly rows: readonly (RankedArm | RankedGroup)[];
  /** The last response. Its counts are those of all rows. */
  readonly about: RankResponse;
  /** The number of all rows, loaded or not. */
  readonly total: number;
}

interface State {
  readonly ranking: Ranking | undefined;
  readonly error: unknown;
}

/** The ranking for a query. It is loaded again when `version` increases. */
export function useRanking(query: Query | undefined, version: number): State & { load: (rows: number) => void } {
  const [state, setState] = useState<State>({ ranking: undefined, error: undefined });
  const loader = useRef<Loader | undefined>();
  const key = query && JSON.stringify(query);
  useEffect(() => {
    setState({ ranking: undefined, error: undefined });
    loader.current = query && new Loader(query, setState);
    return () => loader.current?.end();
  }, [key]);
  useEffect(() => loader.current?.refresh(), [key, version]);
  return { ...state, load: (rows) => loader.current?.load(rows) };
}

/** Loads the pages of a ranking one after another. */
class Loader {
  readonly #ended = new AbortController();
  #ranking: Ranking | undefined;
  #wanted = firstRows;
  #isStale = false;
  #isBusy = false;

  constructor(
    private readonly query: Query,
    private readonly publish: (state: State) => void,
  ) {}

  end(): void {
    this.#ended.abort();
  }

  /** Loads rows until there are `rows` of them, or no more. */
  load(rows: number): void {
    this.#wanted = Math.max(this.#wanted, rows);
    void this.#work();
  }

  /** Loads the rows again. The old ones are shown until the new ones are there. */
  refresh(): void {
    this.#isStale = true;
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#isBusy) {
      return;
    }
    this.#isBusy = true;
    try {
      while (!this.#ended.signal.aborted && (this.#isStale || this.#hasMore())) {
        const isRefresh = this.#isStale;
        this.#isStale = false;
        await (isRefresh ? this.#reload() : this.#append());
      }
    } catch (error) {
      if (!this.#ended.signal.aborted) {
        this.publish({ ranking: this.#ranking, error });
        if (isTransient(error)) {
          window.setTimeout(() => this.refresh(), againMs);
        }
      }
    } finally {
      this.#isBusy = false;
    }
  }

  #hasMore(): boolean {
    const { rows, about } = this.#ranking ?? {};
    return rows !== undefined && rows.length < this.#wanted && about!.nextPageToken !== "";
  }

  async #reload(): Promise<void> {
    const loaded = this.#ranking?.rows.length ?? 0;
    const about = await this.#page("", Math.min(Math.max(loaded, firstRows), pageRows));
    this.#show([], about);
    await new Promise((resolve) => window.setTimeout(resolve, loaded === 0 ? 0 : refreshEveryMs));
  }

  async #append(): Promise<void> {
    const { rows, about: before } = this.#ranking!;
    const about = await this.#page(before.nextPageToken, pageRows);
    if (about.rankingRevision === before.rankingRevision) {
      this.#show(rows, about);
    } else {
      this.#isStale = true;
    }
  }

  #page(pageToken: string, pageSize: number): Promise<RankResponse> {
    const request = { ...this.query, statuses: [...this.query.statuses], pageToken, pageSize };
    return client.call(reads.rank, request, { signal: this.#ended.signal });
  }

  #show(before: Ranking["rows"], about: RankResponse): void {
    if (this.#ended.signal.aborted) {
      return;
    }
    const rows = [...before, ...(this.query.byGroup ? about.groups : about.arms)];
    this.#ranking = { rows, about, total: about.nextPageToken === "" ? rows.length : totalOf(about) };
    this.publish({ ranking: this.#ranking, error: undefined });
  }
}

function totalOf({ counts, groupCounts }: RankResponse): number {
  return groupCounts
    ? Number(groupCounts.ranked + groupCounts.withoutMean)
    : Number((counts?.numbers ?? 0n) + (counts?.nans ?? 0n) + (counts?.withoutScore ?? 0n));
}
