/** The state of one experiment, kept up to date by one stream. */

import { useEffect, useState } from "preact/hooks";

import type { ArmSummary, Experiment, WatchResponse } from "podium-client/v1";

import { againMs, client, collected, isTransient, reads, updatesOf } from "./api";
import { onHeard } from "./connection";

/** If an experiment has at most this many arms, the page keeps all of them with their configs. */
const mostArms = 5_000;
/** Changes are drawn together if they arrive within this time. */
const drawEveryMs = 100;

/** The known state of an experiment. */
export interface Live {
  readonly experiment: Experiment | undefined;
  /** The arms by name. */
  readonly arms: ReadonlyMap<string, ArmSummary>;
  /** Whether `arms` has all arms. Of a large experiment it has only those that changed. */
  readonly hasAllArms: boolean;
  /** Increases with every change, so that components can repeat calls that depend on arms. */
  readonly version: number;
  /** The arms that changed with this version. */
  readonly news: ReadonlySet<string>;
  readonly isLost: boolean;
  readonly isDeleted: boolean;
  readonly error: unknown;
}

const nothing: Live = {
  experiment: undefined, arms: new Map(), hasAllArms: false, version: 0, news: new Set(),
  isLost: false, isDeleted: false, error: undefined,
};

/** Follows an experiment. A hidden tab has no stream, since browsers open few connections. */
export function useLive(name: string): Live {
  const [live, setLive] = useState<Live>(nothing);
  useEffect(() => {
    setLive(nothing);
    const follower = new Follower(name, setLive);
    const follow = (): void => follower.setVisible(!document.hidden);
    const forget = onHeard((isHeard) => follower.publish({ isLost: !isHeard && !document.hidden }));
    document.addEventListener("visibilitychange", follow);
    follow();
    return () => {
      document.removeEventListener("visibilitychange", follow);
      forget();
      follower.end();
    };
  }, [name]);
  return live;
}

class Follower {
  #live = nothing;
  #arms = new Map<string, ArmSummary>();
  #after: WatchResponse["marker"];
  #ended: AbortController | undefined;
  #timer = 0;

  constructor(
    private readonly name: string,
    private draw: (live: Live) => void,
  ) {}

  /** Opens the stream, or closes it. */
  setVisible(isVisible: boolean): void {
    if (!isVisible) {
      this.#ended?.abort();
      this.#ended = undefined;
    } else if (this.#ended === undefined) {
      this.#ended = new AbortController();
      void this.#follow(this.#ended.signal);
    }
  }

  end(): void {
    this.setVisible(false);
    clearTimeout(this.#timer);
    this.draw = () => {};
  }

  /** Changes the state. Draws it at once, or later if it was drawn within `drawEveryMs`. */
  publish(change: Partial<Live>): void {
    const isNew = Object.entries(change).some(([key, value]) => this.#live[key as keyof Live] !== value);
    if (!isNew) {
      return;
    }
    this.#live = { ...this.#live, ...change };
    if (this.#timer === 0) {
      this.#drawNow();
    }
  }

  #drawNow(): void {
    this.draw(this.#live);
    const drawn = this.#live;
    this.#timer = window.setTimeout(() => {
      this.#timer = 0;
      if (this.#live !== drawn) {
        this.#drawNow();
      }
    }, drawEveryMs);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    try {
      if (this.#after === undefined) {
        await this.#load(signal);
      }
      const options = { after: this.#after, withoutEvals: true, signal };
      for await (const update of updatesOf(this.name, options)) {
        this.#apply(update);
      }
    } catch (error) {
      if (!signal.aborted) {
        this.publish({ error });
        if (isTransient(error)) {
          window.setTimeout(() => !signal.aborted && void this.#follow(signal), againMs);
        }
      }
    }
  }

  async #load(signal: AbortSignal): Promise<void> {
    const experiment = (await client.call(reads.getExperiment, { experiment: this.name }, { signal })).experiment!;
    let revision = experiment.revision;
    const isSmall = armCount(experiment) <= mostArms;
    if (isSmall) {
      const page = async (pageToken: string) => {
        const request = { experiment: this.name, pageSize: 1000, pageToken };
        const found = await client.call(reads.listArms, request, { signal });
        revision = pageToken === "" ? found.revision : revision;
        return found;
      };
      const arms = await collected(page, (found) => found.arms);
      this.#arms = new Map(arms.map((arm) => [arm.name, arm]));
    }
    this.#after = { $typeName: "podium.v1.WatchMarker", revision, epoch: "" };
    this.publish({ experiment, arms: this.#arms, hasAllArms: isSmall, version: 1, error: undefined });
  }

  #apply(update: WatchResponse): void {
    if (update.deleted) {
      this.publish({ isDeleted: true, isLost: false });
      return;
    }
    this.#after = update.marker;
    const { arms, removals, reset } = update;
    const experiment = update.experiment ?? this.#live.experiment;
    if (!reset && arms.length === 0 && removals.length === 0) {
      this.publish({ experiment, isLost: false });
      return;
    }
    const next = new Map(reset ? [] : this.#arms);
    removals.filter((gone) => gone.name === undefined).forEach((gone) => next.delete(gone.arm));
    arms.forEach(({ arm }) => next.set(arm!.name, arm!));
    this.#arms = next;
    // `news` has the arms of all changes that are drawn together.
    const changed = [...arms.map(({ arm }) => arm!.name), ...removals.map((gone) => gone.arm)];
    const news = new Set([...(this.#timer === 0 ? [] : this.#live.news), ...changed]);
    this.publish({
      experiment, arms: next, hasAllArms: this.#live.hasAllArms || reset, isLost: false,
      version: this.#live.version + 1, news,
    });
  }
}

/** The number of arms of an experiment. */
export function armCount(experiment: Experiment): number {
  const { pending = 0n, running = 0n, completed = 0n, failed = 0n, cancelled = 0n } = experiment.armCounts ?? {};
  return Number(pending + running + completed + failed + cancelled);
}
