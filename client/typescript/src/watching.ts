import { create, equals } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { type CallOptions, type Connection, readTimeoutMs } from "./connection.js";
import { fromCall, PodiumError, reasonOf } from "./errors.js";
import type { ArmStatus } from "./podium/v1/arm_result_pb.js";
import type { EvalResult } from "./podium/v1/eval_result_pb.js";
import { ResultsService, type WatchResponse, WatchResponseSchema } from "./podium/v1/results_service_pb.js";
import { type WatchMarker, WatchMarkerSchema, type WatchRemoval } from "./podium/v1/watch_pb.js";
import { pausedBefore, watchPauseAfter } from "./retries.js";

/** Options of a watch. By default it watches everything. */
export interface WatchOptions extends Omit<CallOptions, "timeoutMs"> {
  /** The marker of the last known update. By default the watch begins with the whole state. */
  readonly after?: WatchMarker | undefined;
  /** Only arms with one of these statuses. */
  readonly statuses?: ArmStatus[];
  /** Only arms of the group with this name. */
  readonly groupName?: string;
  /** Only arms whose name begins with this text. */
  readonly namePrefix?: string;
  /** Whether only arms are sent, without their rows. */
  readonly withoutEvals?: boolean;
  /** Whether rows and arms are sent without their breakdowns. */
  readonly withoutBreakdowns?: boolean;
  /** Whether the training series of the arms are sent, too. */
  readonly withSeries?: boolean;
  /** With `withSeries`: only the series of these keys. By default all series are sent. */
  readonly seriesKeys?: string[];
}

/** Options of a replica. By default it has everything except training series. */
export type FollowOptions = Omit<WatchOptions, "after" | "signal">;

// The number of resets in a row, without another update, after which a watch fails.
const mostResets = 3;

// The reasons of errors after which a watch continues.
const transient = new Set([
  "OVERLOADED",
  "QUOTA_EXCEEDED",
  "SHUTTING_DOWN",
  "WATCH_TOO_SLOW",
  "OUTCOME_UNKNOWN",
]);

/** Yields the updates of a watch, and continues after the last one if a call fails. */
export async function* watch(
  connection: Connection, experiment: string, options: WatchOptions, heard: () => void = () => {},
): AsyncGenerator<WatchResponse, void, undefined> {
  const { after, signal, headers, ...filter } = options;
  const begun = performance.now();
  const state: State = { attempt: 0, resets: 0, heard };
  for (;;) {
    const known = state.marker ?? after;
    const request = { ...filter, experiment, afterRevision: known?.revision, epoch: known?.epoch };
    try {
      yield* updates(connection.stream(ResultsService.method.watch, request, { signal, headers }), state);
      yield create(WatchResponseSchema, { deleted: true });
      return;
    } catch (error) {
      const failed = ConnectError.from(error);
      if (failed.code === Code.NotFound && state.marker !== undefined) {
        // The experiment was deleted while there was no connection.
        yield create(WatchResponseSchema, { deleted: true });
        return;
      }
      // If the server has answered before, there is no limit to the retries.
      const end = state.marker === undefined ? begun + readTimeoutMs : Infinity;
      const pause = watchPauseAfter(state.attempt++, failed);
      if (!isTransient(failed) || !(await paused(end, pause, signal))) {
        throw fromCall(failed, connection.address, 0, false);
      }
    }
  }
}

/** The state of a watch between its calls. */
interface State {
  /** The last marker that arrived. */
  marker?: WatchMarker;
  /** The failures since the last update that was not a reset. */
  attempt: number;
  /** The resets since then. */
  resets: number;
  /** Called with each marker. */
  readonly heard: () => void;
}

/** Yields the updates of one call, without repeated markers, until the experiment is deleted. */
async function* updates(
  responses: AsyncIterable<WatchResponse>, state: State,
): AsyncGenerator<WatchResponse, void, undefined> {
  let update = create(WatchResponseSchema);
  for await (const response of responses) {
    if (response.deleted) {
      return;
    }
    if (response.reset && state.resets === mostResets) {
      throw new ConnectError(`the server reset the watch ${mostResets + 1} times in a row: ` +
        "does the address lead to servers with different stores?", Code.Aborted);
    }
    update = response.reset ? response : merged(update, response);
    if (update.marker !== undefined) {
      const isNews = state.marker === undefined || !equals(WatchMarkerSchema, state.marker, update.marker);
      state.marker = update.marker;
      state.heard();
      if (update.reset) {
        // A reset does not end the pauses: the server may only reset. A reset without its update was
        // interrupted, and the next call repeats it.
        state.resets++;
      } else {
        [state.attempt, state.resets] = [0, 0];
      }
      if (isNews) {
        yield update;
      }
      update = create(WatchResponseSchema);
    }
  }
  throw new ConnectError("the server has ended the watch", Code.Unavailable);
}

function isTransient(failed: ConnectError): boolean {
  const isAway = failed.code === Code.Unavailable || failed.code === Code.Internal;
  return transient.has(reasonOf(failed)) || (reasonOf(failed) === "" && isAway);
}

async function paused(end: number, pause: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    return await pausedBefore(end, pause, signal);
  } catch {
    throw new PodiumError("CANCELLED", "the call was cancelled");
  }
}

/** Adds a message to the update. A removal also ends what an earlier message has added. */
function merged(update: WatchResponse, response: WatchResponse): WatchResponse {
  const { removals, arms, evals, series, experiment, marker } = response;
  const gone = (arm: string, row?: EvalResult): boolean => removals.some((one) => isOf(one, arm, row));
  const keptArms = update.arms.filter((item) => !gone(item.arm!.name));
  const keptEvals = update.evals.filter((item) => !gone(item.arm, item.evalResult));
  const keptSeries = update.series.filter((item) => !gone(item.arm));
  update.removals.push(...removals);
  update.arms = [...keptArms, ...arms];
  update.evals = [...keptEvals, ...evals];
  update.series = [...keptSeries, ...series];
  update.experiment = experiment ?? update.experiment;
  update.marker = marker;
  return update;
}

/** Whether a removal is that of an arm, or includes the row. */
function isOf(removal: WatchRemoval, arm: string, row?: EvalResult): boolean {
  const isRow = removal.name === row?.name && removal.step === row?.step;
  return removal.arm === arm && (removal.name === undefined || isRow);
}
