import {
  type DescField, type DescMessage, type DescMethodUnary, fromJson, isFieldSet, type JsonObject,
  type JsonValue, type Message, ScalarType, toJson,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type Client, type PodiumError } from "podium-client";
import { RecordingService, ResultsService, ScoreStatisticsSchema, ValueSchema } from "podium-client/v1";

import { expect } from "./compare.js";
import { failure } from "./reads.js";

/** A case of a file of writes. */
export interface WriteCase {
  name: string;
  steps: Step[];
}

interface Step {
  call: string;
  request?: JsonObject;
  response?: JsonObject;
  refused?: Refused;
}

interface Refused {
  code: string;
  reason: string;
  metadata?: Record<string, string>;
  text?: string[];
  permanent?: Record<string, string>;
  wait?: Record<string, string>;
}

export async function write(one: WriteCase, client: Client, experiment: string): Promise<void> {
  for (const [index, step] of one.steps.entries()) {
    try {
      await makeCall(step, client, experiment);
    } catch (error) {
      throw new Error(`step ${index}, ${step.call}: ${error}`);
    }
  }
}

async function makeCall(step: Step, client: Client, experiment: string): Promise<void> {
  const method = methodOf(step.call);
  const request = fromJson(method.input, { experiment, ...step.request });
  const answer = client.call(method, request);
  if (step.refused === undefined) {
    checkNamed(step.response ?? {}, method.output, await answer, "");
  } else {
    checkRefusal(step.refused, await failure(answer));
  }
}

function methodOf(call: string): DescMethodUnary {
  const methods = [...RecordingService.methods, ...ResultsService.methods];
  const found = methods.find((method) => method.name === call);
  if (found?.methodKind !== "unary") {
    throw new Error(`there is no rpc ${call}`);
  }
  return found as DescMethodUnary;
}

function checkRefusal(wanted: Refused, failed: PodiumError): void {
  expect(String(failed), [failed.code, failed.reason], [wanted.code, wanted.reason]);
  for (const [key, value] of Object.entries(wanted.metadata ?? {})) {
    expect(`metadata ${key}`, failed.metadata[key], value);
  }
  for (const part of wanted.text ?? []) {
    expect(`${failed.message} says ${part}`, failed.message.includes(part), true);
  }
  for (const kind of ["permanent", "wait"] as const) {
    const events = failed.refusals.filter((event) => event.permanent === (kind === "permanent"));
    const found = Object.fromEntries(events.map((event) => [String(event.index), event.reason]));
    expect(kind, found, wanted[kind] ?? {});
  }
}

/** Holds the fields that are named against an answer; null stands for unset. */
export function checkNamed(
  wanted: JsonObject, schema: DescMessage, answer: Message, where: string,
): void {
  for (const [name, value] of Object.entries(wanted)) {
    const field = schema.fields.find((one) => one.jsonName === name);
    if (field === undefined) {
      throw new Error(`${schema.typeName} has no field ${name}`);
    }
    checkField(field, value, answer, `${where}.${name}`);
  }
}

function checkField(field: DescField, value: JsonValue, answer: Message, where: string): void {
  const found = valueOf(field, answer);
  if (value === null) {
    expect(`${where} is set`, isFieldSet(answer, field), false);
  } else if (isStatistic(field)) {
    checkStatistic(Number(value), found as number, where);
  } else if (field.fieldKind === "message" && !isWhole(field.message)) {
    checkNamed(value as JsonObject, field.message, found as Message, where);
  } else if (field.fieldKind === "list" && field.listKind === "message" && !isWhole(field.message)) {
    checkList(value as JsonObject[], field.message, found as Message[], where);
  } else {
    const message = fromJson(field.parent, { [field.jsonName]: value });
    expect(where, jsonOf(field, answer), jsonOf(field, message));
  }
}

/** Whether a number is computed from several: it may differ by rounding. */
function isStatistic(field: DescField): boolean {
  return field.parent.typeName === ScoreStatisticsSchema.typeName && field.scalar === ScalarType.DOUBLE;
}

function checkStatistic(wanted: number, found: number, where: string): void {
  if (found !== wanted && !(Math.abs(found - wanted) <= 1e-9 * Math.abs(wanted))) {
    expect(where, found, wanted);
  }
}

function checkList(
  wanted: JsonObject[], schema: DescMessage, found: Message[], where: string,
): void {
  expect(`the length of ${where}`, found.length, wanted.length);
  wanted.forEach((one, index) => checkNamed(one, schema, found[index]!, `${where}[${index}]`));
}

/** The value of a field; an empty message for one that is not set. */
function valueOf(field: DescField, message: Message): unknown {
  const value = reflect(field.parent, message).get(field);
  if (field.fieldKind === "message") {
    return (value as { message: Message }).message;
  }
  return (message as unknown as Record<string, unknown>)[field.localName];
}

/** What a field says, with a zero that is not said for what has no presence. */
function jsonOf(field: DescField, message: Message): JsonValue | undefined {
  const said = toJson(field.parent, message, { alwaysEmitImplicit: true }) as JsonObject;
  return said[field.jsonName];
}

/** Whether messages of a type are compared as a whole. */
function isWhole(schema: DescMessage): boolean {
  return schema.typeName === ValueSchema.typeName || schema.typeName === TimestampSchema.typeName;
}
