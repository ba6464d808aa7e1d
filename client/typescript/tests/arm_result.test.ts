import assert from "node:assert/strict";
import { test } from "node:test";

import { ArmResult, fromValue, type Plain, PodiumError, toValue } from "podium-client";
import { ArmStatus, ScoreOrigin } from "podium-client/v1";

const arm = new ArmResult({
  name: "lora_rank4",
  metrics: { loss: 0.31, "train.loss": 0.25 },
  evals: [
    { name: "val", step: 0n, metrics: { acc: 0.1 } },
    { name: "val", step: 2n ** 53n + 1n, metrics: { acc: 0.3 } },
    { name: "val", step: 2n ** 53n, metrics: { acc: 0.2 } },
    { name: "test", metrics: { acc: 0, nan: NaN, minus: -0 } },
  ],
});

test("the row with the greatest step answers, and steps beyond 2^53 are told apart", () => {
  assert.equal(arm.eval("val")?.step, 9007199254740993n);
  assert.equal(arm.eval("val", 9007199254740992n)?.metrics["acc"], 0.2);
});

test("a step is answered by the row at exactly it, also 0, and never by a final row", () => {
  assert.equal(arm.eval("val", 0)?.metrics["acc"], 0.1);
  assert.equal(arm.eval("val", 1), undefined);
  assert.equal(arm.eval("test", 0), undefined);
});

test("a step that may have been rounded, or has more than 64 bits, is refused", () => {
  assert.throws(() => arm.eval("val", 2 ** 53), RangeError);
  assert.throws(() => arm.eval("val", 0.5), RangeError);
  assert.throws(() => arm.eval("val", 2n ** 63n), RangeError);
});

test("no score is undefined, and 0, -0 and NaN are scores", () => {
  assert.equal(arm.score("acc"), 0);
  assert.equal(arm.score("test.minus"), -0);
  assert.equal(arm.score("nan"), NaN);
  assert.equal(arm.score("train.loss"), 0.25);
  assert.equal(arm.score("val.loss"), undefined);
});

test("what every object has is no metric", () => {
  assert.equal(arm.score("constructor"), undefined);
  assert.equal(arm.score("test.toString"), undefined);
  assert.equal(arm.score("test.__proto__"), undefined);
});

test("a score says where it came from", () => {
  assert.deepEqual(arm.findScore("val.acc"), {
    value: 0.3, origin: ScoreOrigin.IN_LOOP_EVAL, key: "acc", evalName: "val", step: 2n ** 53n + 1n,
  });
});

test("an empty metric is an error with the code and reason that a server answers", () => {
  assert.throws(() => arm.score(""), (error: unknown) => {
    assert.ok(error instanceof PodiumError);
    assert.deepEqual([error.code, error.reason], ["INVALID_ARGUMENT", "NAME_INVALID"]);
    return true;
  });
});

test("fields that were left empty read as the primary eval's, also once a row was added", () => {
  const growing = new ArmResult({ evals: [{ name: "val", step: 1n, metrics: { acc: 0.1 } }] });
  assert.deepEqual(growing.evalMetrics, { acc: 0.1 });
  growing.evals.push(...new ArmResult({
    evals: [{ name: "test", metrics: { acc: 0.9 }, evalSeconds: 2.5 }],
  }).evals);
  assert.deepEqual(growing.evalMetrics, { acc: 0.9 });
  assert.equal(growing.evalSeconds, 2.5);
  growing.message.evalMetrics = { acc: 0.7 };
  assert.equal(growing.findScore("acc")?.origin, ScoreOrigin.GIVEN_EVAL_METRICS);
});

test("a snapshot says what it is, and is written as JSON", () => {
  const arm = new ArmResult({
    name: "a", status: ArmStatus.RUNNING, metrics: { loss: NaN }, runConfig: { name: "r", seed: 2n ** 60n },
    evals: [{ name: "val", step: 7n }],
  });
  assert.equal(arm.status, ArmStatus.RUNNING);
  assert.equal(arm.runConfig?.name, "r");
  assert.ok(Number.isNaN(arm.metrics["loss"]));
  assert.deepEqual(JSON.parse(JSON.stringify(arm)), {
    name: "a", status: "ARM_STATUS_RUNNING", metrics: { loss: "NaN" },
    runConfig: { name: "r", seed: "1152921504606846976" }, evals: [{ name: "val", step: "7" }],
  });
});

test("what a value is made of comes back, and integers stay integers", () => {
  const plain = {
    rank: 4, rate: 0.5, minus: -0, big: 2n ** 60n, on: true, none: null, text: "x", list: [1, [], {}],
  };
  const value = toValue(plain);
  assert.deepEqual(fromValue(value), plain);
  assert.ok(value.kind.case === "mapValue");
  assert.equal(value.kind.value.entries["rank"]!.kind.case, "intValue");
  assert.equal(value.kind.value.entries["rate"]!.kind.case, "doubleValue");
});

test("what no value can hold is refused", () => {
  assert.throws(() => toValue(2n ** 63n), RangeError);
  for (const bad of [undefined, new Date(), [undefined], { deep: () => 1 }, new Map()]) {
    assert.throws(() => toValue(bad as unknown as Plain), TypeError);
  }
});
