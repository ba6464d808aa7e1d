import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";

import type { ArmResult } from "./arm_result.js";
import type { EvalResultSchema } from "./podium/v1/eval_result_pb.js";
import {
  EventSchema,
  type ArmFinishedSchema,
  type ArmStartedSchema,
  type Event,
  type ExperimentDeclaredSchema,
} from "./podium/v1/event_pb.js";

type Kind = NonNullable<MessageInitShape<typeof EventSchema>["kind"]>;

/** Creates the experiment, or fills those of its fields that are still unset. */
export function experimentDeclared(
  declared: MessageInitShape<typeof ExperimentDeclaredSchema> = {},
): Event {
  return now({ case: "experimentDeclared", value: declared });
}

/** Begins an attempt at training an arm: the arm is running. */
export function armStarted(started: MessageInitShape<typeof ArmStartedSchema>): Event {
  return now({ case: "armStarted", value: started });
}

/** Adds training metrics to an arm: the latest value of each key counts. */
export function metricsRecorded(
  arm: string,
  metrics: Record<string, number>,
  attemptId?: string,
): Event {
  return now({ case: "metricsRecorded", value: { arm, metrics, attemptId } });
}

/** Adds an eval row to an arm; a row of the same name and step is replaced. */
export function evalRecorded(
  arm: string,
  row: MessageInitShape<typeof EvalResultSchema>,
  attemptId?: string,
): Event {
  return now({ case: "evalRecorded", value: { arm, evalResult: row, attemptId } });
}

/** Says how an arm's training ended. Said again, the last one counts as a whole. */
export function armFinished(finished: MessageInitShape<typeof ArmFinishedSchema>): Event {
  return now({ case: "armFinished", value: finished });
}

/**
 * Records a whole arm at once: the arm becomes equal to it.
 *
 * @param replace Also where the arm has attempts, or where this very arm was recorded before.
 */
export function armRecorded(arm: ArmResult, replace = false): Event {
  return now({ case: "armRecorded", value: { armResult: arm.message, replace } });
}

/** Stores what was found out. The last one counts. */
export function experimentConcluded(conclusion: string): Event {
  return now({ case: "experimentConcluded", value: { conclusion } });
}

/** Takes a sequence number of its stream and does nothing. */
export function skipped(): Event {
  return now({ case: "skipped", value: {} });
}

/** When it happened is shown and orders nothing. */
function now(kind: Kind): Event {
  return create(EventSchema, { eventTime: timestampNow(), kind });
}
