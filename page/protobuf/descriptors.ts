/** The types of messages, from the descriptors in the generated code. */

import { Reader } from "./binary";

/** How a field without a type of its own is stored. */
export type Scalar = "double" | "bigint" | "int32" | "bool" | "string" | "bytes";

/** A field of a message. */
export interface Field {
  readonly number: number;
  readonly name: string;
  readonly isRepeated: boolean;
  readonly isOptional: boolean;
  /** The name of the oneof that the field is in. */
  readonly oneof: string | undefined;
  readonly scalar: Scalar | undefined;
  /** The type of a message, or the entry of a map. */
  readonly message: (() => MessageDesc) | undefined;
}

/** A type of messages. */
export interface MessageDesc {
  readonly kind: "message";
  readonly typeName: string;
  readonly isMapEntry: boolean;
  readonly fields: Map<number, Field>;
  readonly nested: MessageDesc[];
}

interface FileDesc {
  readonly types: Map<string, MessageDesc>;
  readonly messages: MessageDesc[];
  readonly services: unknown[];
}

/** The types of fields by their number in a descriptor. An enum is its number. */
const scalars: Record<number, Scalar> = { 1: "double", 3: "bigint", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 14: "int32" };
const messageType = 11;

/** Reads a descriptor, as the generated code has it. */
export function fileDesc(base64: string, imports: readonly FileDesc[] = []): FileDesc {
  const found = parts(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
  const types = new Map(imports.flatMap((each) => [...each.types]));
  const resolve = (name: string) => () => types.get(name.slice(1))!;
  const scope = text(found, 2);
  const messages = all(found, 4).map((each) => messageOf(each, scope, types, resolve));
  const services = all(found, 6).map((each) => serviceOf(each, scope, resolve));
  return { types, messages, services };
}

/** The message with an index in its file, or in another message. */
export function messageDesc(file: FileDesc, first: number, ...path: number[]): MessageDesc {
  return path.reduce((desc, index) => desc.nested[index]!, file.messages[first]!);
}

/** The service with an index in its file. */
export function serviceDesc(file: FileDesc, index: number): unknown {
  return file.services[index];
}

/** Enums are numbers in messages. Their names are in the generated code. */
export function enumDesc(): undefined {
  return undefined;
}

// Descriptors: the numbers are those of google/protobuf/descriptor.proto.

type Parts = Map<number, (Uint8Array | number)[]>;

/** The fields of a message whose type is not known, by number. */
function parts(bytes: Uint8Array): Parts {
  const found: Parts = new Map();
  const reader = new Reader(bytes);
  while (!reader.isAtEnd) {
    const tag = reader.uint32();
    const values = found.get(tag >>> 3) ?? [];
    found.set(tag >>> 3, values);
    values.push((tag & 7) === 2 ? reader.bytes() : reader.uint32());
  }
  return found;
}

function all(found: Parts, number: number): Parts[] {
  return (found.get(number) ?? []).map((each) => parts(each as Uint8Array));
}

function text(found: Parts, number: number): string {
  return new TextDecoder().decode(found.get(number)?.[0] as Uint8Array);
}

function count(found: Parts, number: number): number {
  return (found.get(number)?.[0] as number | undefined) ?? 0;
}

type Resolve = (name: string) => () => MessageDesc;

function messageOf(found: Parts, scope: string, types: Map<string, MessageDesc>, resolve: Resolve): MessageDesc {
  const typeName = `${scope}.${text(found, 1)}`;
  const oneofs = all(found, 8).map((each) => camelCase(text(each, 1)));
  const nested = all(found, 3).map((each) => messageOf(each, typeName, types, resolve));
  const desc: MessageDesc = {
    kind: "message",
    typeName,
    isMapEntry: all(found, 7).some((options) => count(options, 7) === 1),
    fields: new Map(all(found, 2).map((each) => [count(each, 3), fieldOf(each, oneofs, resolve)])),
    // The entries of maps have no index.
    nested: nested.filter((each) => !each.isMapEntry),
  };
  types.set(typeName, desc);
  return desc;
}

function fieldOf(found: Parts, oneofs: readonly string[], resolve: Resolve): Field {
  const [type, isOptional] = [count(found, 5), count(found, 17) === 1];
  if (scalars[type] === undefined && type !== messageType) {
    throw new Error(`protobuf/lite.ts does not know fields of the type ${type}`);
  }
  return {
    number: count(found, 3),
    name: camelCase(text(found, 1)),
    isRepeated: count(found, 4) === 3,
    isOptional: isOptional || type === messageType,
    oneof: found.has(9) && !isOptional ? oneofs[count(found, 9)] : undefined,
    scalar: scalars[type],
    message: type === messageType ? resolve(text(found, 6)) : undefined,
  };
}

function serviceOf(found: Parts, scope: string, resolve: Resolve): unknown {
  const service = { kind: "service", typeName: `${scope}.${text(found, 1)}`, method: {} as Record<string, unknown> };
  for (const each of all(found, 2)) {
    const name = text(each, 1);
    const localName = name[0]!.toLowerCase() + name.slice(1);
    service.method[localName] = {
      kind: "rpc", name, localName, parent: service,
      methodKind: count(each, 6) === 1 ? "server_streaming" : "unary",
      input: resolve(text(each, 2))(), output: resolve(text(each, 3))(),
      idempotency: count(all(each, 4)[0] ?? new Map(), 34),
    };
  }
  return service;
}

function camelCase(name: string): string {
  return name.replace(/_+(.)/g, (_all, letter: string) => letter.toUpperCase());
}
