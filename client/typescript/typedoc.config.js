import { OptionDefaults } from "typedoc";

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  entryPoints: ["src/index.ts", "src/browser.ts", "src/v1.ts"],
  out: "build/docs",
  readme: "none", // its links lead out of the package
  // protobuf-es writes @generated for each message and field.
  blockTags: [...OptionDefaults.blockTags, "@generated"],
  intentionallyNotExported: ["Known"],
  skipErrorChecking: true, // tsc does it
  treatWarningsAsErrors: true,
};
