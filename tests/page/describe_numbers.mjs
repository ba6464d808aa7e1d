// Reads lists of numbers from standard input, and prints the statistics that the page shows.
import { readFileSync } from "node:fs";

import { build } from "../../page/node_modules/esbuild/lib/main.js";

const page = `${import.meta.dirname}/../../page`;
const { outputFiles } = await build({
  entryPoints: [`${page}/src/statistics.ts`], bundle: true, format: "esm", write: false, logLevel: "error",
});
const source = Buffer.from(outputFiles[0].contents).toString("base64");
const { describe } = await import(`data:text/javascript;base64,${source}`);
const lists = JSON.parse(readFileSync(0, "utf8"), (_key, value) => (typeof value === "string" ? Number(value) : value));
const texts = (_key, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);
console.log(JSON.stringify(lists.map(describe), texts));
