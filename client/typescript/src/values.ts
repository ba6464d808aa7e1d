import { create } from "@bufbuild/protobuf";
import { NullValue } from "@bufbuild/protobuf/wkt";

import { type Value, ValueSchema } from "./podium/v1/value_pb.js";

/** The plain data that a value of a configuration or a breakdown can hold. */
export type Plain =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Plain[]
  | { readonly [key: string]: Plain };

/**
 * Makes a value from plain data. A bigint or a whole number (`4`) becomes an integer, any other number a
 * double. For a double like 4.0, make the message: `{ kind: { case: "doubleValue", value: 4 } }`.
 *
 * @throws RangeError An integer has more than 64 bits.
 * @throws TypeError The data is or contains something else, such as undefined or a Date.
 */
export function toValue(plain: Plain): Value {
  return create(ValueSchema, { kind: kindOf(plain) });
}

/**
 * Returns the plain data of a value. An integer is a number if that is exact, and otherwise a bigint. A
 * value that is not set is null.
 */
export function fromValue(value: Value): Plain {
  const { kind } = value;
  switch (kind.case) {
    case undefined:
    case "nullValue":
      return null;
    case "intValue": {
      const number = Number(kind.value);
      return Number.isSafeInteger(number) ? number : kind.value;
    }
    case "listValue":
      return kind.value.values.map(fromValue);
    case "mapValue": {
      const entries = Object.entries(kind.value.entries);
      return Object.fromEntries(entries.map(([key, item]) => [key, fromValue(item)]));
    }
    default:
      return kind.value;
  }
}

function kindOf(plain: Plain): Value["kind"] {
  switch (typeof plain) {
    case "boolean":
      return { case: "boolValue", value: plain };
    case "string":
      return { case: "stringValue", value: plain };
    case "bigint":
      return { case: "intValue", value: exact(plain) };
    case "number":
      return Number.isSafeInteger(plain) && !Object.is(plain, -0)
        ? { case: "intValue", value: BigInt(plain) }
        : { case: "doubleValue", value: plain };
    default:
      return plain === null ? { case: "nullValue", value: NullValue.NULL_VALUE } : heldIn(plain);
  }
}

function heldIn(plain: readonly Plain[] | { readonly [key: string]: Plain }): Value["kind"] {
  const wrapped = Array.isArray(plain) ? listOf(plain) : mapOf(plain as { [key: string]: Plain });
  return wrapped.kind;
}

function listOf(plain: readonly Plain[]): Value {
  const values = plain.map(toValue);
  return create(ValueSchema, { kind: { case: "listValue", value: { values } } });
}

function mapOf(plain: { readonly [key: string]: Plain }): Value {
  const prototype: unknown = plain === undefined ? plain : Object.getPrototypeOf(plain);
  if (plain === undefined || (prototype !== Object.prototype && prototype !== null)) {
    throw new TypeError(`no value can hold ${String(plain)}`);
  }
  const entries = Object.fromEntries(Object.entries(plain).map(([key, item]) => [key, toValue(item)]));
  return create(ValueSchema, { kind: { case: "mapValue", value: { entries } } });
}

function exact(integer: bigint): bigint {
  if (BigInt.asIntN(64, integer) !== integer) {
    throw new RangeError(`a value holds integers of 64 bits, not ${integer}`);
  }
  return integer;
}
