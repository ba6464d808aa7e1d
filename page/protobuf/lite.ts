/**
 * The part of `@bufbuild/protobuf` that the page needs, in a tenth of its size. The build puts it
 * in place of the library below the client and Connect. It knows proto3 in binary form: no JSON,
 * no extensions and no unknown fields. A test compares it with the library.
 */

import { Reader, Writer } from "./binary";
import type { Field, MessageDesc, Scalar } from "./descriptors";

export * from "../../client/typescript/node_modules/@bufbuild/protobuf/dist/esm/wkt/google/protobuf/any_pb.js";
export * from "../../client/typescript/node_modules/@bufbuild/protobuf/dist/esm/wkt/google/protobuf/duration_pb.js";
export * from "../../client/typescript/node_modules/@bufbuild/protobuf/dist/esm/wkt/google/protobuf/struct_pb.js";
export * from "../../client/typescript/node_modules/@bufbuild/protobuf/dist/esm/wkt/google/protobuf/timestamp_pb.js";

/** The levels of `idempotency_level`, by the number in the descriptor. */
export const MethodOptions_IdempotencyLevel = { IDEMPOTENCY_UNKNOWN: 0, NO_SIDE_EFFECTS: 1, IDEMPOTENT: 2 };

type Message = Record<string, unknown>;

/** A message with the values of another one, or of a part of it. */
export function create(desc: MessageDesc, init: Message = {}): Message {
  const message: Message = { $typeName: desc.typeName };
  for (const field of desc.fields.values()) {
    const given = init[field.oneof ?? field.name];
    if (field.oneof !== undefined) {
      message[field.oneof] ??= { case: undefined };
      const { case: name, value } = (given ?? {}) as { case?: string; value?: unknown };
      if (name === field.name) {
        message[field.oneof] = { case: name, value: created(field, value) };
      }
    } else {
      message[field.name] = given === undefined || given === null ? initial(field) : createdAll(field, given);
    }
  }
  return message;
}

/** Reads a message. */
export function fromBinary(desc: MessageDesc, bytes: Uint8Array): Message {
  return mergeFrom(create(desc), desc, new Reader(bytes), bytes.length);
}

/** Adds what the bytes up to an end hold to a message. A message in parts is one message. */
function mergeFrom(message: Message, desc: MessageDesc, reader: Reader, end: number): Message {
  while (reader.at < end) {
    const tag = reader.uint32();
    const field = desc.fields.get(tag >>> 3);
    if (field === undefined) {
      reader.skip(tag & 7);
    } else {
      readInto(message, field, tag & 7, reader);
    }
  }
  return message;
}

/** Writes a message. */
export function toBinary(desc: MessageDesc, message: Message): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  for (const field of desc.fields.values()) {
    const oneof = field.oneof === undefined ? undefined : (message[field.oneof] as { case?: string; value?: unknown });
    const value = field.oneof === undefined ? message[field.name] : oneof?.case === field.name ? oneof.value : undefined;
    for (const each of valuesOf(field, value)) {
      writeValue(writer, field, each);
    }
  }
  return writer.bytes();
}

/** Whether two messages have the same values. */
export function equals(desc: MessageDesc, one: Message, other: Message): boolean {
  return String(toBinary(desc, one)) === String(toBinary(desc, other));
}

/** A message with the same values. */
export function clone(desc: MessageDesc, message: Message): Message {
  return fromBinary(desc, toBinary(desc, message));
}

/** Whether a value is a message of a type. */
export function isMessage(value: unknown, desc: MessageDesc): boolean {
  return (value as Message | undefined)?.["$typeName"] === desc.typeName;
}

/** The milliseconds of a duration. */
export function durationMs({ seconds, nanos }: { seconds: bigint; nanos: number }): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** This moment. */
export function timestampNow(): { $typeName: string; seconds: bigint; nanos: number } {
  const now = Date.now();
  return { $typeName: "google.protobuf.Timestamp", seconds: BigInt(Math.floor(now / 1000)), nanos: (now % 1000) * 1e6 };
}

/** The page speaks the binary form only. */
export function noJson(): never {
  throw new Error("the page has no JSON of messages");
}
export { noJson as anyPack, noJson as fromJson, noJson as fromJsonString, noJson as toJson, noJson as toJsonString };

function initial({ isRepeated, isOptional, message, scalar }: Field): unknown {
  if (isRepeated) {
    return message?.().isMapEntry ? {} : [];
  }
  return isOptional ? undefined : zero(scalar);
}

function zero(scalar: Scalar | undefined): unknown {
  switch (scalar) {
    case "bigint": return 0n;
    case "bool": return false;
    case "string": return "";
    case "bytes": return new Uint8Array();
    default: return 0;
  }
}

function createdAll(field: Field, given: unknown): unknown {
  if (!field.isRepeated) {
    return created(field, given);
  }
  const entry = field.message?.();
  if (!entry?.isMapEntry) {
    return (given as unknown[]).map((each) => created(field, each));
  }
  const value = entry.fields.get(2)!;
  return Object.fromEntries(Object.entries(given as Message).map(([key, each]) => [key, created(value, each)]));
}

function created({ message }: Field, given: unknown): unknown {
  return message === undefined ? given : create(message(), given as Message);
}

function readInto(message: Message, field: Field, wireType: number, reader: Reader): void {
  if (!field.isRepeated) {
    const holder = field.oneof === undefined ? undefined : (message[field.oneof] as { case?: string; value?: unknown });
    const before = holder === undefined ? message[field.name] : holder.case === field.name ? holder.value : undefined;
    const value = readValue(field, reader, before as Message | undefined);
    message[field.oneof ?? field.name] = field.oneof === undefined ? value : { case: field.name, value };
  } else if (field.message?.().isMapEntry) {
    const { key, value } = readValue(field, reader) as { key: string; value: unknown };
    const type = field.message().fields.get(2)!;
    put(message[field.name] as Message, key, value ?? create(type.message!()));
  } else if (wireType === 2 && field.scalar !== undefined && field.scalar !== "string" && field.scalar !== "bytes") {
    const end = reader.end();
    while (reader.at < end) {
      (message[field.name] as unknown[]).push(readValue(field, reader));
    }
  } else {
    (message[field.name] as unknown[]).push(readValue(field, reader));
  }
}

/** Sets the value of a key. A key such as `__proto__` is a key like others. */
function put(map: Message, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(map, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    map[key] = value;
  }
}

function readValue({ scalar, message }: Field, reader: Reader, before?: Message): unknown {
  switch (scalar) {
    case undefined: return mergeFrom(before ?? create(message!()), message!(), reader, reader.end());
    case "double": return reader.double();
    case "bigint": return BigInt(reader.int64());
    case "int32": return reader.uint32() | 0;
    case "bool": return reader.uint32() !== 0;
    case "string": return reader.string();
    case "bytes": return reader.bytes().slice();
  }
}

/** The values of a field that are written. What is not set, or zero without presence, is not. */
function valuesOf(field: Field, value: unknown): readonly unknown[] {
  if (value === undefined) {
    return [];
  }
  if (field.isRepeated) {
    return field.message?.().isMapEntry ? Object.entries(value as Message).map(([key, each]) => ({ key, value: each })) : (value as unknown[]);
  }
  const isZero = !field.isOptional && field.oneof === undefined
    && (Object.is(value, zero(field.scalar)) || (value as Uint8Array).length === 0);
  return isZero ? [] : [value];
}

function writeValue(writer: Writer, { number, scalar, message }: Field, value: unknown): void {
  switch (scalar) {
    case undefined: return writer.tag(number, 2).bytesOf(toBinary(message!(), value as Message));
    case "double": return writer.tag(number, 1).double(value as number);
    case "string": return writer.tag(number, 2).bytesOf(new TextEncoder().encode(value as string));
    case "bytes": return writer.tag(number, 2).bytesOf(value as Uint8Array);
    default: return writer.tag(number, 0).int64(BigInt(value as number));
  }
}
