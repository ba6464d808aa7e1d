import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("the README shows the example as it is run", () => {
  const readme = readFileSync("README.md", "utf-8");
  const example = readFileSync("examples/quickstart.ts", "utf-8");
  assert.ok(readme.includes("```ts\n" + example + "```\n"));
});
