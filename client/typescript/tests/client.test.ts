import assert from "node:assert/strict";
import { test } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ArmResult, Client, events, PodiumError } from "podium-client";
import { ArmStatus, Direction, type EvalResultSchema, ResultsService } from "podium-client/v1";

import { connected, declared, serverAddress } from "./server.js";

type Row = MessageInitShape<typeof EvalResultSchema>;

const client = connected(await serverAddress());

function wholeArm(name: string, ...evals: Row[]): ReturnType<typeof events.armRecorded> {
  const status = ArmStatus.COMPLETED;
  return events.armRecorded(new ArmResult({ name, runConfig: { name }, status, evals }));
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all = [];
  for await (const item of items) {
    all.push(item);
  }
  return all;
}

async function failure(promise: Promise<unknown>): Promise<PodiumError> {
  const error = await promise.then(() => "no error", (failed: unknown) => failed);
  assert.ok(error instanceof PodiumError, String(error));
  return error;
}

test("what was recorded is answered, and what was not is undefined and no error", async () => {
  const experiment = await declared(client);
  const step = 2n ** 63n - 1n;
  const val = { name: "val", step, metrics: { acc: 0 } };
  await experiment.record([wholeArm("a", val, { name: "test", metrics: { acc: 0.6 } })]);
  const arm = experiment.arm("a");
  assert.equal((await arm.eval("val", step))?.revision, 2n);
  assert.equal(await arm.eval("val", 1), undefined);
  assert.equal(await arm.eval("not_yet"), undefined);
  assert.equal(await arm.score("val.acc"), 0);
  assert.equal(await arm.score("val.f1"), undefined);
  assert.equal((await arm.get()).score("acc"), 0.6);
});

test("metrics are listed, rankings have filters, and the server tells its limits", async () => {
  const experiment = await declared(client);
  const row = { name: "test", metrics: { acc: 0.6 } };
  await experiment.record([wholeArm("a1", row), wholeArm("b1", row)]);
  const found = [];
  for await (const metric of experiment.metrics()) {
    found.push([metric.name, metric.arms]);
  }
  assert.deepEqual(found, [["acc", 2n], ["test.acc", 2n]]);
  const ranking = await experiment.rank({ namePrefix: "a" });
  assert.deepEqual(ranking.arms.map((arm) => arm.arm), ["a1"]);
  assert.equal((await client.server()).limits?.callEvents, 1000n);
  assert.equal(await client.whoami(), undefined);
});

test("a training is recorded event by event, and an evaluator's row arrives late", async () => {
  const experiment = await declared(client);
  await experiment.record([
    events.armStarted({ arm: "a", runConfig: { name: "a" }, attempt: { id: "A", order: 1n } }),
    events.metricsRecorded("a", { loss: 0.3 }, "A"),
    events.evalRecorded("a", { name: "val", step: 10n, metrics: { acc: 0.5 } }, "A"),
    events.armFinished({ arm: "a", attemptId: "A", status: ArmStatus.COMPLETED }),
    events.experimentConcluded("It trains."),
  ]);
  await experiment.record([events.evalRecorded("a", { name: "test", metrics: { acc: 0.6 } })]);
  const arm = await experiment.arm("a").get();
  assert.deepEqual([arm.message.status, arm.score("acc")], [ArmStatus.COMPLETED, 0.6]);
  const state = await experiment.get();
  assert.deepEqual([state.conclusion, state.armCounts?.completed], ["It trains.", 1n]);
  const other = events.metricsRecorded("a", { loss: 0.1 }, "B");
  assert.equal((await failure(experiment.record([other]))).reason, "STALE_ATTEMPT");
});

test("events of a stream are applied once, and a gap is refused with what is expected", async () => {
  const experiment = await declared(client);
  await experiment.record([wholeArm("a")]);
  const logged = [events.metricsRecorded("a", { loss: 0.3 })];
  const position = { writerId: "ts", firstSequence: 1n };
  assert.equal((await experiment.record(logged, { position })).skippedEvents, 0);
  assert.equal((await experiment.record(logged, { position })).skippedEvents, 1);
  const gap = { writerId: "ts", firstSequence: 9n };
  const failed = await failure(experiment.record(logged, { position: gap }));
  assert.deepEqual([failed.code, failed.reason], ["OUT_OF_RANGE", "SEQUENCE_GAP"]);
  assert.equal(failed.metadata["expected_sequence"], "2");
});

test("an error says the code, the reason, its particulars, and every refused event", async () => {
  const experiment = await declared(client);
  const missing = await failure(experiment.arm("missing").eval("val"));
  assert.deepEqual([missing.code, missing.reason], ["NOT_FOUND", "ARM_NOT_FOUND"]);
  assert.equal(missing.metadata["arm"], "missing");
  await experiment.record([wholeArm("a")]);
  const refused = await failure(experiment.record([
    events.metricsRecorded("a", { loss: 0.3 }),
    events.metricsRecorded("missing", { loss: 0.3 }),
    events.evalRecorded("a", { name: "" }),
  ]));
  const told = refused.refusals.map(({ index, reason, permanent }) => [index, reason, permanent]);
  assert.deepEqual(told, [[1, "ARM_NOT_FOUND", false], [2, "NAME_INVALID", true]]);
});

test("lists go on page after page, in order, and stop when nobody wants more", async () => {
  const experiment = await declared(client);
  const names = Array.from({ length: 250 }, (_, i) => `arm-${String(i).padStart(3, "0")}`);
  await experiment.record(names.map((name) => wholeArm(name)));
  const found = await collected(experiment.arms());
  assert.deepEqual(found.map((arm) => arm.name), names);
  assert.equal((await collected(experiment.arms({ namePrefix: "arm-00" }))).length, 10);
  for await (const arm of experiment.arms()) {
    assert.equal(arm.name, "arm-000");
    break;
  }
  const [listed] = await collected(client.experiments({ namePrefix: experiment.name }));
  assert.equal(listed?.name, experiment.name);
});

test("an arm of more rows than a response holds is brought whole, in order", async () => {
  const experiment = await declared(client);
  await experiment.record([wholeArm("a")]);
  for (let first = 0; first < 2_700; first += 900) {
    await experiment.record(Array.from({ length: 900 }, (_, i) =>
      events.evalRecorded("a", { name: "val", step: BigInt(first + i), metrics: { acc: 0.5 } })));
  }
  const steps = (await experiment.arm("a").get()).evals.map((row) => Number(row.step));
  assert.deepEqual(steps, Array.from({ length: 2_700 }, (_, i) => i));
  const some = await collected(experiment.arm("a").evals({ minStep: 10, maxStep: 12 }));
  assert.deepEqual(some.map((row) => row.step), [10n, 11n, 12n]);
});

test("an arm of more rows than a call carries is recorded whole, in order, and can be again", async () => {
  const experiment = client.experiment(`typescript/large/${process.pid}/${Date.now()}`);
  await experiment.declare();
  const rows = Array.from({ length: 12_500 }, (_, i) => (
    { name: "val", step: BigInt(i), metrics: { acc: i } }));
  const evals = [...rows, { name: "test", metrics: { acc: 0.5 } }, { ...rows[0]!, metrics: { acc: 7 } }];
  const status = ArmStatus.COMPLETED;
  const arm = new ArmResult({ name: "a", runConfig: { name: "a" }, status, evals });
  const response = await experiment.recordArm(arm);
  assert.deepEqual([response.revision, response.changedEvents], [5n, 2_502]);
  const found = await experiment.arm("a").get();
  assert.deepEqual(found.evals.map((row) => row.metrics["acc"]), [...rows.map((_, i) => i), 0.5]);
  await experiment.recordArm(found);
  assert.equal((await experiment.arm("a").get()).evals.length, 12_501);
});

test("a whole arm replaces one that has attempts only if that is wanted", async () => {
  const experiment = await declared(client);
  await experiment.startArm({ name: "a" });
  const status = ArmStatus.COMPLETED;
  const arm = new ArmResult({ name: "a", runConfig: { name: "a" }, status });
  assert.equal((await failure(experiment.recordArm(arm))).reason, "ARM_HAS_ATTEMPTS");
  await experiment.recordArm(arm, { replace: true });
});

test("a ranking has the best arm first and says what became of the others", async () => {
  const experiment = await declared(client);
  const scored = (name: string, acc: number): ReturnType<typeof wholeArm> =>
    wholeArm(name, { name: "test", metrics: { acc } });
  await experiment.record([scored("low", 0.1), scored("high", 0.9), wholeArm("none")]);
  const ranking = await experiment.rank();
  assert.deepEqual(ranking.arms.map((arm) => [arm.arm, arm.rank]), [
    ["high", 1n], ["low", 2n], ["none", undefined],
  ]);
  assert.equal(ranking.counts?.withoutScore, 1n);
  const lowest = await experiment.rank({ direction: Direction.MINIMIZE, top: 1 });
  assert.deepEqual(lowest.arms.map((arm) => arm.arm), ["low"]);
});

test("groups are ranked by the means of their members", async () => {
  const experiment = await declared(client);
  const runs = Object.entries({ a0: 0.2, a1: 0.4, b0: 0.5 });
  await experiment.record(runs.map(([name, acc]) => events.armRecorded(new ArmResult({
    name, groupName: name[0], runConfig: { name: name[0] }, status: ArmStatus.COMPLETED,
    evals: [{ name: "test", metrics: { acc } }],
  }))));
  const ranking = await experiment.rank({ byGroup: true });
  assert.deepEqual(ranking.groups.map((group) => group.groupName), ["b", "a"]);
  const several = await experiment.rank({ byGroup: true, minMembers: 2, top: 1 });
  assert.deepEqual(several.groups.map((group) => group.groupName), ["a"]);
});

test("what was deleted is gone; to delete it again is an error unless that is all right", async () => {
  const experiment = await declared(client);
  await experiment.record([wholeArm("a")]);
  assert.equal(await experiment.arm("a").delete(), 3n);
  assert.equal((await failure(experiment.arm("a").delete())).reason, "ARM_NOT_FOUND");
  assert.equal(await experiment.arm("a").delete({ allowMissing: true }), 3n);
  await experiment.delete();
  await experiment.delete({ allowMissing: true });
  const { getExperiment } = ResultsService.method;
  const gone = await failure(client.call(getExperiment, { experiment: experiment.name }));
  assert.equal(gone.reason, "EXPERIMENT_NOT_FOUND");
});

test("an address that is none is refused, and a closed client says so", async () => {
  assert.throws(() => new Client("localhost"), TypeError);
  const closed = new Client("localhost:1");
  closed.close();
  assert.equal((await failure(closed.arm("x", "a").eval("val"))).code, "CANCELLED");
});
