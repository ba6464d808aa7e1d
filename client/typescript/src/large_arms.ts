import { clone, create, equals, toBinary } from "@bufbuild/protobuf";

import { type ArmResult, distinct } from "./arm_result.js";
import { armRecorded, evalRecorded } from "./events.js";
import type { ArmResult as ArmMessage } from "./podium/v1/arm_result_pb.js";
import { type EvalResult, EvalResultSchema } from "./podium/v1/eval_result_pb.js";
import { type Event, EventSchema } from "./podium/v1/event_pb.js";

// The default limits of a call. 128 KiB are left for the names around the events.
const callEvents = 1_000;
const callMetrics = 10_000;
const callBytes = 2 ** 22 - 2 ** 17;
// The bytes of a field's number and length.
const frameBytes = 6;

/** The parts of a call that have limits. */
class Load {
  constructor(readonly events: number, readonly metrics: number, readonly bytes: number) {}

  plus(other: Load): Load {
    return new Load(this.events + other.events, this.metrics + other.metrics, this.bytes + other.bytes);
  }

  get fits(): boolean {
    return this.events <= callEvents && this.metrics <= callMetrics && this.bytes <= callBytes;
  }
}

/** Returns the events of each call that records a whole arm: the arm with its first rows, then the other rows. */
export function inCalls(arm: ArmResult, replace: boolean): Event[][] {
  const whole = armRecorded(arm, replace);
  const rows = distinct(arm.evals);
  const head = clone(EventSchema, whole);
  const first = (head.kind.value as { armResult: ArmMessage }).armResult;
  first.evals = [];
  clearMirrors(first, arm.primary);
  const { metrics, evalMetrics, runResult } = first;
  const values = [metrics, evalMetrics, runResult?.metrics ?? {}].flatMap(Object.keys).length;
  let total = new Load(1, values, toBinary(EventSchema, head).length + frameBytes);
  const count = rows.findIndex((row) => !(total = total.plus(loadOfRow(row))).fits);
  if (count === -1) {
    return [[whole]];
  }
  first.evals = rows.slice(0, count);
  const others = rows.slice(count).map((row) => {
    const event = evalRecorded(arm.name, row);
    event.eventTime = row.eventTime ?? whole.eventTime;
    return event;
  });
  return [[head], ...rowsInCalls(others)];
}

function rowsInCalls(events: Event[]): Event[][] {
  const calls: Event[][] = [];
  let total = new Load(callEvents, 0, 0);
  for (const event of events) {
    const { evalResult } = event.kind.value as { evalResult: EvalResult };
    const metrics = Object.keys(evalResult.metrics).length;
    const own = new Load(1, metrics, toBinary(EventSchema, event).length + frameBytes);
    total = total.plus(own);
    if (!total.fits) {
      calls.push([]);
      total = own;
    }
    calls.at(-1)!.push(event);
  }
  return calls;
}

/** Returns the load of a row in an arm. A row without metrics counts as a row with one. */
function loadOfRow(row: EvalResult): Load {
  const metrics = Math.max(1, Object.keys(row.metrics).length);
  return new Load(0, metrics, toBinary(EvalResultSchema, row).length + frameBytes);
}

/**
 * Clears the eval fields of an arm that repeat its primary eval. The first call may not contain the row of
 * that eval, and the server rejects fields without it.
 */
function clearMirrors(arm: ArmMessage, primary: EvalResult | undefined): void {
  const given = create(EvalResultSchema, { metrics: arm.evalMetrics, breakdowns: arm.evalBreakdowns });
  const own = create(EvalResultSchema, { metrics: primary?.metrics ?? {}, breakdowns: primary?.breakdowns ?? {} });
  const seconds = primary?.evalSeconds ?? 0;
  if (equals(EvalResultSchema, given, own) && (arm.evalSeconds ?? seconds) === seconds) {
    Object.assign(arm, { evalMetrics: {}, evalBreakdowns: {}, evalSeconds: undefined });
  }
}
