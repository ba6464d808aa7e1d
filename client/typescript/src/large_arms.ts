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

/** What a call carries of the things that are limited. */
class Load {
  constructor(readonly events: number, readonly metrics: number, readonly bytes: number) {}

  plus(other: Load): Load {
    return new Load(this.events + other.events, this.metrics + other.metrics, this.bytes + other.bytes);
  }

  get fits(): boolean {
    return this.events <= callEvents && this.metrics <= callMetrics && this.bytes <= callBytes;
  }
}

/** The events of each call that records a whole arm: the arm with its first rows, then the others. */
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

/** A row within an arm. One without metrics counts as one with a metric. */
function loadOfRow(row: EvalResult): Load {
  const metrics = Math.max(1, Object.keys(row.metrics).length);
  return new Load(0, metrics, toBinary(EvalResultSchema, row).length + frameBytes);
}

/**
 * Clears the eval fields of an arm that are those of its primary eval. The server rejects them beside
 * the first rows alone, among which that eval may not be.
 */
function clearMirrors(arm: ArmMessage, primary: EvalResult | undefined): void {
  const given = create(EvalResultSchema, { metrics: arm.evalMetrics, breakdowns: arm.evalBreakdowns });
  const own = create(EvalResultSchema, { metrics: primary?.metrics ?? {}, breakdowns: primary?.breakdowns ?? {} });
  const seconds = primary?.evalSeconds ?? 0;
  if (equals(EvalResultSchema, given, own) && (arm.evalSeconds ?? seconds) === seconds) {
    Object.assign(arm, { evalMetrics: {}, evalBreakdowns: {}, evalSeconds: undefined });
  }
}
