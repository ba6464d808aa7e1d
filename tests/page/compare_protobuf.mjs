// Compares the page's small protobuf with the library, for random messages of every type that the
// page may receive or send. Prints the number of messages, or throws at the first difference.
import { isDeepStrictEqual } from "node:util";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";

import { build } from "../../page/node_modules/esbuild/lib/main.js";
import { smallProtobuf } from "../../page/protobuf/plugin.mjs";

const page = `${import.meta.dirname}/../../page`;
const source = `
export * as v1 from "podium-client/v1";
export { create, fromBinary, toBinary } from "@bufbuild/protobuf";
`;
const folder = await mkdtemp(`${tmpdir()}/podium-protobuf-`);
const large = await bundled("large", []);
const small = await bundled("small", [smallProtobuf]);
await rm(folder, { recursive: true });

const numbers = { 1: [0.5, -0, NaN, Infinity, 1e-300], 5: [1, -1, 2 ** 31 - 1, -(2 ** 31)] };
const longs = [1n, -1n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n, 300n];
const texts = ["", "a", "\ufeffé🚀", "x".repeat(300), "0"];
let state = 17;
let compared = 0;

for (const [name, schema] of Object.entries(large.v1)) {
  if (schema.kind !== "message") continue;
  for (let turn = 0; turn < 40; turn++) {
    compare(name, schema, turn === 0 ? large.create(schema) : message(schema, 4), message(schema, 4));
  }
}
console.log(compared);

function compare(name, schema, given, other) {
  const own = small.v1[name];
  const bytes = large.toBinary(schema, given);
  // A server may send a message in parts, which are to be merged.
  const parts = new Uint8Array([...large.toBinary(schema, other), ...bytes]);
  const pairs = [
    [small.fromBinary(own, bytes), large.fromBinary(schema, bytes)],
    [small.fromBinary(own, parts), large.fromBinary(schema, parts)],
    [large.fromBinary(schema, small.toBinary(own, given)), given],
    [small.create(own, given), given],
  ];
  for (const [found, expected] of pairs) {
    if (!isDeepStrictEqual(plain(found), plain(expected))) {
      console.error(name, plain(found), plain(expected));
      throw new Error(`${name} differs`);
    }
  }
  compared++;
}

/** A message without the prototypes and absent fields that the library has in other forms. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Uint8Array) return [...value];
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([, each]) => each !== undefined).map(([key, each]) => [key, plain(each)]),
  );
}

function random(count) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % count;
}

function any(values) {
  return values[random(values.length)];
}

function message(schema, depth) {
  const init = {};
  for (const field of schema.fields) {
    const holder = field.oneof ? { case: field.localName } : undefined;
    const value = random(4) === 0 ? undefined : valueOf(field, depth - 1);
    if (value === undefined) continue;
    if (holder) init[field.oneof.localName] = { ...holder, value };
    else init[field.localName] = value;
  }
  return large.create(schema, init);
}

function valueOf(field, depth) {
  if (field.fieldKind === "list") {
    return [...Array(random(4))].map(() => single(field, depth)).filter((each) => each !== undefined);
  }
  if (field.fieldKind === "map") {
    const entries = [...Array(random(4))].map(() => [any(texts), single(field, depth)]);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }
  return single(field, depth);
}

function single(field, depth) {
  if (field.message) return depth > 0 ? message(field.message, depth) : undefined;
  if (field.enum) return any(field.enum.values).number;
  switch (field.scalar) {
    case 3: return any(longs);
    case 8: return random(2) === 1;
    case 9: return any(texts);
    case 12: return new Uint8Array([0, 255, random(256)]);
    default: return any(numbers[field.scalar]);
  }
}

async function bundled(name, plugins) {
  const outfile = `${folder}/${name}.mjs`;
  await build({
    stdin: { contents: source, resolveDir: page, loader: "ts" },
    absWorkingDir: page, bundle: true, format: "esm", outfile, plugins, platform: "node",
    nodePaths: [`${page}/../client/typescript/node_modules`], logLevel: "error",
  });
  return import(outfile);
}
