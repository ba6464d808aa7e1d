import assert from "node:assert/strict";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type ArmRun, PodiumError, toValue } from "podium-client";
import { ArmStatus, RecordingService, type StreamPosition } from "podium-client/v1";

import { connected, declared, serverAddress } from "./server.js";

const client = connected(await serverAddress());
const lora = { name: "lora" };

test("a function records metrics and evals of an attempt, and completes the arm", async () => {
  const experiment = await declared(client);
  const options = { name: "a", groupName: "rank4" };
  const result = await experiment.runArm(lora, options, async (run) => {
    await run.log({ loss: 0.5 }, 0);
    await run.log({ loss: 0.25 });
    const breakdowns = { math: toValue(0.5) };
    await run.logEval({ name: "test", metrics: { acc: 0.75 }, breakdowns });
    return run.attemptId;
  });
  const arm = await experiment.arm("a").get();
  assert.deepEqual([arm.status, arm.metrics], [ArmStatus.COMPLETED, { loss: 0.25 }]);
  assert.deepEqual([arm.score("test.acc"), arm.message.groupName], [0.75, "rank4"]);
  assert.equal(arm.message.attempt?.id, result);
  const age = Date.now() - Number(arm.message.attempt?.order);
  assert.ok(Math.abs(age) < 3_600_000, `the attempt is ${age} ms old`);
});

const aborted = new AbortController();
aborted.abort();

const ends: [string, (run: ArmRun) => Promise<void>, ArmStatus, RegExp][] = [
  ["returns", async () => {}, ArmStatus.COMPLETED, /^$/],
  ["throws", () => Promise.reject(new Error("out of memory\0\ud800")), ArmStatus.FAILED,
    /^Error: out of memory\\x00\ufffd\n {4}at /],
  ["is aborted", async () => aborted.signal.throwIfAborted(), ArmStatus.CANCELLED, /AbortError/],
  ["has finished", async (run) => {
    await run.finish({ status: ArmStatus.CANCELLED, error: "enough" });
  }, ArmStatus.CANCELLED, /^enough$/],
];

for (const [name, train, status, text] of ends) {
  test(`the arm of a function that ${name} ends so`, async () => {
    const experiment = await declared(client);
    const error = await experiment.runArm(lora, {}, train).catch((failed: unknown) => failed);
    assert.equal(error === undefined, name === "returns" || name === "has finished");
    const arm = await experiment.arm("lora").get();
    assert.equal(arm.status, status);
    assert.match(arm.message.error ?? "", text);
  });
}

test("an attempt that was aborted still records its end", async () => {
  const experiment = await declared(client);
  const controller = new AbortController();
  const error = await experiment
    .runArm(lora, { signal: controller.signal }, async (run) => {
      controller.abort();
      await run.log({ loss: 1 });
    })
    .catch((failed: unknown) => failed);
  assert.ok(error instanceof PodiumError && error.code === "CANCELLED", String(error));
  const arm = await experiment.arm("lora").get();
  assert.deepEqual([arm.status, arm.metrics], [ArmStatus.CANCELLED, {}]);
});

test("an earlier attempt is rejected, and a rejected call leaves its attempt usable", async () => {
  const experiment = await declared(client);
  const first = await experiment.startArm(lora, { attemptId: "A", order: 1 });
  await first.log({ loss: 0.5 }, 0);
  const second = await experiment.startArm(lora, { attemptId: "B", order: 2n, resumeStep: 0 });
  await assert.rejects(first.log({ loss: 7 }), { reason: "STALE_ATTEMPT" });
  await assert.rejects(second.log({ "": 1 }), { code: "INVALID_ARGUMENT" });
  await second.log({ ppl: 2 });
  const arm = await second.get();
  assert.deepEqual([arm.message.attempt?.id, arm.metrics], ["B", { loss: 0.5, ppl: 2 }]);
  const both = experiment.startArm(lora, { resumeStep: 0, restart: true });
  await assert.rejects(both, /not both/);
});

test("calls that overlap keep their order, and each has its place", async () => {
  const run = await (await declared(client)).startArm(lora);
  await Promise.all(Array.from({ length: 20 }, (_, loss) => run.log({ loss, [`m${loss}`]: 1 }, loss)));
  const arm = await run.get();
  assert.deepEqual([arm.metrics["loss"], Object.keys(arm.metrics).length], [19, 21]);
});

/** A server that notes where the events of each call are in their stream. */
async function positions(fail: (call: number) => Code | undefined): Promise<[string, StreamPosition[]]> {
  const seen: StreamPosition[] = [];
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(RecordingService, {
        record: ({ position }) => {
          seen.push(position!);
          const code = fail(seen.length);
          if (code !== undefined) {
            throw new ConnectError("stopping", code);
          }
          return {};
        },
      }),
  });
  const server = createHttp2Server(handler);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  after(() => server.close());
  return [`127.0.0.1:${(server.address() as AddressInfo).port}`, seen];
}

test("a call is repeated with its place, and after one that failed another stream begins", async () => {
  const codes = new Map([[2, Code.Unavailable], [3, Code.Unavailable], [5, Code.InvalidArgument]]);
  const [address, seen] = await positions((call) => codes.get(call));
  const run = await connected(address).experiment("x").startArm(lora);
  await run.log({ loss: 1 });
  await assert.rejects(run.log({ loss: 2 }));
  await run.log({ loss: 3 });
  await run.log({ loss: 4 });
  const places = seen.map(({ firstSequence }) => Number(firstSequence));
  assert.deepEqual(places, [1, 2, 2, 2, 3, 1, 2]);
  const [first] = seen;
  assert.equal(new Set(seen.map(({ writerId }) => writerId)).size, 2);
  assert.equal(seen.filter(({ writerId }) => writerId === first?.writerId).length, 5);
});

test("an outage that outlasts the timeout may have stored the event, and both errors are told", async () => {
  const [address] = await positions((call) => (call === 1 ? undefined : Code.Unavailable));
  const experiment = connected(address).experiment("x");
  const logged = experiment.runArm(lora, { timeoutMs: 300 }, (run) => run.log({ loss: 1 }));
  await assert.rejects(logged, (failed: unknown) => {
    assert.ok(failed instanceof AggregateError, String(failed));
    assert.match(failed.message, /could not record how arm "lora" ended/);
    assert.equal(failed.errors.length, 2);
    return failed.errors.every((error: Error) => /is unknown/.test(error.message));
  });
});
