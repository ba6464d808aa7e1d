import { create, equals, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { type CallOptions, type Connection, readTimeoutMs } from "./connection.js";
import { fromCall, PodiumError, reasonOf } from "./errors.js";
import type { ArmStatus } from "./podium/v1/arm_result_pb.js";
import type { EvalResult } from "./podium/v1/eval_result_pb.js";
import {
  ResultsService,
  type WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "./podium/v1/results_service_pb.js";
import { type WatchMarker, WatchMarkerSchema, type WatchRemoval } from "./podium/v1/watch_pb.js";
import { pauseAfter, pausedBefore } from "./retries.js";

/** What is watched; nothing said means everything. */
export interface WatchOptions extends Omit<CallOptions, "timeoutMs"> {
  /** The marker of the update whose state is known; else none is. */
  readonly after?: WatchMarker | undefined;
  /** Only arms with one of these statuses. */
  readonly statuses?: ArmStatus[];
  /** Only arms of the group with this name. */
  readonly groupName?: string;
  /** Only arms whose name begins with this text. */
  readonly namePrefix?: string;
  /** Whether only arms are sent, without their rows. */
  readonly withoutEvals?: boolean;
}

type Request = MessageInitShape<typeof WatchRequestSchema>;

// The reasons of errors after which a watch continues.
const transient = new Set(["OVERLOADED", "SHUTTING_DOWN", "WATCH_TOO_SLOW", "OUTCOME_UNKNOWN"]);

/** Yields the updates of a watch, and continues after the last one where a call fails. */
export async function* watch(
  connection: Connection, experiment: string, options: WatchOptions,
): AsyncGenerator<WatchResponse, void, undefined> {
  const { after, statuses, groupName, namePrefix, withoutEvals, ...calls } = options;
  const filter = { experiment, statuses, groupName, namePrefix, withoutEvals };
  const begun = performance.now();
  let [known, marker, attempt] = [after, undefined as WatchMarker | undefined, 0];
  for (;;) {
    const request = { ...filter, afterRevision: known?.revision, epoch: known?.epoch };
    try {
      for await (const update of updates(connection, request, calls)) {
        const isNews = marker === undefined || !equals(WatchMarkerSchema, marker, update.marker!);
        [known, marker, attempt] = [update.marker!, update.marker!, 0];
        if (isNews) {
          yield update;
        }
      }
      yield create(WatchResponseSchema, { deleted: true });
      return;
    } catch (error) {
      const failed = ConnectError.from(error);
      if (failed.code === Code.NotFound && marker !== undefined) {
        // It was deleted while there was no connection.
        yield create(WatchResponseSchema, { deleted: true });
        return;
      }
      // A server that has answered before is asked again without a time limit.
      const end = marker === undefined ? begun + readTimeoutMs : Infinity;
      if (!isTransient(failed) || !(await paused(end, pauseAfter(attempt++, failed), calls))) {
        throw fromCall(failed, connection.address, false);
      }
    }
  }
}

/** The updates of one call, each with its marker; they end when the experiment is deleted. */
async function* updates(
  connection: Connection, request: Request, options: CallOptions,
): AsyncGenerator<WatchResponse, void, undefined> {
  let update = create(WatchResponseSchema);
  for await (const response of connection.stream(ResultsService.method.watch, request, options)) {
    if (response.deleted) {
      return;
    }
    update = response.reset ? response : merged(update, response);
    if (response.marker !== undefined) {
      yield update;
      update = create(WatchResponseSchema);
    }
  }
  throw new ConnectError("the server has ended the watch", Code.Unavailable);
}

function isTransient(failed: ConnectError): boolean {
  const isAway = failed.code === Code.Unavailable || failed.code === Code.Internal;
  return transient.has(reasonOf(failed)) || (reasonOf(failed) === "" && isAway);
}

async function paused(end: number, pause: number, { signal }: CallOptions): Promise<boolean> {
  try {
    return await pausedBefore(end, pause, signal);
  } catch {
    throw new PodiumError("CANCELLED", "the call was cancelled");
  }
}

/** Adds a message to the update. A removal also ends what an earlier message has added. */
function merged(update: WatchResponse, response: WatchResponse): WatchResponse {
  const { removals, arms, evals, experiment, marker } = response;
  const gone = (arm: string, row?: EvalResult): boolean => removals.some((one) => isOf(one, arm, row));
  const keptArms = update.arms.filter((item) => !gone(item.arm!.name));
  const keptEvals = update.evals.filter((item) => !gone(item.arm, item.evalResult));
  update.removals.push(...removals);
  update.arms = [...keptArms, ...arms];
  update.evals = [...keptEvals, ...evals];
  update.experiment = experiment ?? update.experiment;
  update.marker = marker;
  return update;
}

/** Whether a removal is that of an arm, or includes the row. */
function isOf(removal: WatchRemoval, arm: string, row?: EvalResult): boolean {
  const isRow = removal.name === row?.name && removal.step === row?.step;
  return removal.arm === arm && (removal.name === undefined || isRow);
}
