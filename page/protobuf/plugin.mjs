/** Puts `lite.ts` and `descriptors.ts` in place of the protobuf library, and shortens the descriptors of generated code. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const require = createRequire(`${import.meta.dirname}/../../client/typescript/package.json`);
const { fromBinary, toBinary } = require("@bufbuild/protobuf");
const { base64Decode, base64Encode } = require("@bufbuild/protobuf/wire");
const { FileDescriptorProtoSchema } = require("@bufbuild/protobuf/wkt");

/** A plugin for esbuild. */
export const smallProtobuf = {
  name: "small-protobuf",
  setup(build) {
    const instead = (filter, name) => build.onResolve({ filter }, () => ({ path: `${import.meta.dirname}/${name}` }));
    instead(/^@bufbuild\/protobuf(\/wkt)?$/, "lite.ts");
    instead(/\/codegenv2(\/\w+\.js)?$/, "descriptors.ts");
    build.onLoad({ filter: /_pb\.(js|ts)$/ }, async ({ path: file }) => ({
      contents: (await readFile(file, "utf8")).replace(/(?<=fileDesc\(")[^"]+/, shortened),
      loader: file.endsWith("ts") ? "ts" : "js",
    }));
  },
};

/** A descriptor without the options of other languages. */
function shortened(base64) {
  const file = fromBinary(FileDescriptorProtoSchema, base64Decode(base64));
  file.options = undefined;
  file.messageType.forEach((message) => Object.assign(message, { reservedName: [], reservedRange: [] }));
  file.enumType = [];
  return base64Encode(toBinary(FileDescriptorProtoSchema, file), "std_raw");
}
