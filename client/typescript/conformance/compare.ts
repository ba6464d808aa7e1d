import { inspect, isDeepStrictEqual } from "node:util";

import {
  clone, fromJson, type DescMessage, type JsonValue, type MessageShape, toJson,
} from "@bufbuild/protobuf";
import { ArmResult } from "podium-client";
import { type ArmResult as ArmResultMessage, ArmResultSchema, type EvalResult } from "podium-client/v1";

/** Says how two values differ, if they do: NaN is NaN, and -0 is not 0. */
export function expect(what: string, found: unknown, wanted: unknown): void {
  if (!isDeepStrictEqual(found, wanted)) {
    const [is, not] = [found, wanted].map((value) => inspect(value, { depth: 20 }));
    throw new Error(`${what}: ${is} instead of ${not}`);
  }
}

/** Says how two messages differ. Their JSON names what is said, and has 64-bit integers as text. */
export function expectSame<S extends DescMessage>(
  what: string, schema: S, found: MessageShape<S>, wanted: MessageShape<S>,
): void {
  expect(what, toJson(schema, found), toJson(schema, wanted));
}

/** The arm of a vector, as somebody built it. */
export function armOf(json: JsonValue): ArmResult {
  return new ArmResult(fromJson(ArmResultSchema, json));
}

/** An arm without what only the server sets. */
export function bareArm(arm: ArmResultMessage): ArmResultMessage {
  const bare = clone(ArmResultSchema, arm);
  bare.experiment = "";
  bare.revision = 0n;
  bare.createTime = bare.updateTime = bare.attempt = undefined;
  bare.evals.forEach(bareRow);
  return bare;
}

/** Takes from a row what only the server sets. */
export function bareRow(row: EvalResult): void {
  row.revision = 0n;
  row.eventTime = row.recordTime = undefined;
}
