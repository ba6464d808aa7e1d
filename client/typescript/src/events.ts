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

/** Makes the event that creates the experiment, sets unset fields, or clears fields. */
export function experimentDeclared(
  declared: MessageInitShape<typeof ExperimentDeclaredSchema> = {},
): Event {
  return now({ case: "experimentDeclared", value: declared });
}

/** Makes the event that starts an attempt at training an arm. */
export function armStarted(started: MessageInitShape<typeof ArmStartedSchema>): Event {
  return now({ case: "armStarted", value: started });
}

/** Makes the event that records training metrics of an arm. The latest value of each key is kept. */
export function metricsRecorded(
  arm: string,
  metrics: Record<string, number>,
  attemptId?: string,
): Event {
  return now({ case: "metricsRecorded", value: { arm, metrics, attemptId } });
}

/** Makes the event that records an eval row. A row with the same name and step is replaced. */
export function evalRecorded(
  arm: string,
  row: MessageInitShape<typeof EvalResultSchema>,
  attemptId?: string,
): Event {
  return now({ case: "evalRecorded", value: { arm, evalResult: row, attemptId } });
}

/** Makes the event that ends the training of an arm. A later one replaces all of its fields. */
export function armFinished(finished: MessageInitShape<typeof ArmFinishedSchema>): Event {
  return now({ case: "armFinished", value: finished });
}

/**
 * Makes the event that records a whole arm: the stored arm becomes equal to it.
 *
 * @param replace Whether to replace an arm that has attempts, or that was recorded with the same content.
 */
export function armRecorded(arm: ArmResult, replace = false): Event {
  return now({ case: "armRecorded", value: { armResult: arm.message, replace } });
}

/** Makes the event that stores the conclusion of the experiment. It replaces an earlier one. */
export function experimentConcluded(conclusion: string): Event {
  return now({ case: "experimentConcluded", value: { conclusion } });
}

/** Makes an event that uses a sequence number of its stream and does nothing. */
export function skipped(): Event {
  return now({ case: "skipped", value: {} });
}

/** Returns the event with its time, which is shown and has no effect on any order. */
function now(kind: Kind): Event {
  return create(EventSchema, { eventTime: timestampNow(), kind });
}
