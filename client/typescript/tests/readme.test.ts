import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("the README shows the examples as they are run", () => {
  const readme = readFileSync("README.md", "utf-8");
  for (const file of ["examples/quickstart.ts", "examples/training.ts"]) {
    assert.ok(readme.includes("```ts\n" + readFileSync(file, "utf-8") + "```\n"), file);
  }
});
