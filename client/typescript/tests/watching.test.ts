import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ArmResult, events, LiveState } from "podium-client";
import { ArmStatus, Direction, ResultsService, WatchResponseSchema } from "podium-client/v1";

import { connected, declared, serverAddress } from "./server.js";

const client = connected(await serverAddress());

function row(step: bigint): { name: string; step: bigint; metrics: Record<string, number> } {
  return { name: "val", step, metrics: { acc: 0.5 } };
}

test("a watch yields the state, then each change, and at last the deletion", async () => {
  const experiment = await declared(client);
  const status = ArmStatus.COMPLETED;
  const arm = new ArmResult({ name: "a", runConfig: { name: "a" }, status, evals: [row(1n)] });
  await experiment.record([events.armRecorded(arm)]);
  const found: unknown[] = [];
  for await (const update of experiment.watch({ signal: AbortSignal.timeout(60_000) })) {
    found.push([update.arms.length, update.evals.length, update.deleted]);
    if (found.length === 1) {
      await experiment.record([events.evalRecorded("a", row(2n))]);
    } else if (found.length === 2) {
      await experiment.delete();
    }
  }
  assert.deepEqual(found, [[1, 1, false], [1, 1, false], [0, 0, true]]);
});

test("a followed experiment answers from memory, until it is deleted", async () => {
  const experiment = await declared(client);
  const whole = (name: string, acc: number) =>
    events.armRecorded(new ArmResult({
      name, runConfig: { name }, status: ArmStatus.COMPLETED, evals: [{ name: "val", step: 1n, metrics: { acc } }],
    }));
  await experiment.record([whole("a", 0.5)]);
  const live = await experiment.follow();
  assert.equal(live.arm("a")?.score("val.acc"), 0.5);
  assert.equal(live.arm("missing"), undefined);
  assert.ok(live.lagMs < 120_000);
  const before = live.state;
  const { revision } = await experiment.record([whole("b", 0.9), events.evalRecorded("a", row(2n))]);
  await live.waitFor(revision, AbortSignal.timeout(60_000));
  assert.deepEqual([...live.state.arms.keys()], ["a", "b"]);
  assert.equal(live.state.best("val.acc")?.name, "b");
  assert.equal(live.state.best(), undefined);
  assert.throws(() => new LiveState().best(), { reason: "METRIC_MISSING" });
  assert.equal(live.state.best("val.acc", Direction.MINIMIZE)?.name, "a");
  assert.equal(live.arm("a")?.eval("val", 2n)?.metrics.acc, 0.5);
  assert.deepEqual([before.arms.size, before.arm("a")?.evals.length], [1, 1]);
  assert.equal((await experiment.arm("a").get()).evals.length, live.arm("a")?.evals.length);
  await experiment.arm("b").delete();
  await live.waitUntil((state) => state.arms.size === 1, AbortSignal.timeout(60_000));
  await assert.rejects(live.waitFor(1n << 40n, AbortSignal.abort()), { name: "AbortError" });
  await experiment.delete();
  await assert.rejects(live.waitFor(1n << 40n, AbortSignal.timeout(60_000)), { code: "NOT_FOUND" });
  await live.close();
  await assert.rejects(experiment.follow(), { reason: "EXPERIMENT_NOT_FOUND" });
});

test("a followed training series has each point once, and an earlier state keeps its points", async () => {
  const experiment = await declared(client);
  await experiment.declare({ successMetric: "loss", direction: Direction.MINIMIZE, overwrite: true });
  const [first, second] = [await experiment.startArm({ name: "a" }), await experiment.startArm({ name: "b" })];
  const live = await experiment.follow({ withSeries: true, seriesKeys: ["loss"] });
  const logged = async (step: bigint, loss: number, steps: bigint[], values: number[]) => {
    await first.log({ loss, other: 1 }, step);
    const isThere = (state: LiveState) => isDeepStrictEqual(state.curve("loss").get("a"), { steps, values });
    await live.waitUntil(isThere, AbortSignal.timeout(60_000));
    return live.state;
  };
  await logged(1n, 0.5, [1n], [0.5]);
  await logged(2n, 0.25, [1n, 2n], [0.5, 0.25]);
  const before = await logged(3n, 0.125, [1n, 2n, 3n], [0.5, 0.25, 0.125]);
  await logged(2n, 0.75, [1n, 2n, 3n], [0.5, 0.75, 0.125]);
  assert.deepEqual(before.curve("loss").get("a")?.values, [0.5, 0.25, 0.125]);
  assert.deepEqual([...live.state.curve("other")], []);
  await second.log({ loss: 0.25 });
  await first.finish();
  await second.finish();
  await live.waitUntil((state) => state.rank().arms.length === 2, AbortSignal.timeout(60_000));
  assert.equal(live.state.best()?.name, "b");
  await live.close();
});

test("a missing experiment and an aborted watch are errors; nothing is left of one that is left", async () => {
  const missing = client.experiment("missing").watch();
  await assert.rejects(missing.next(), { reason: "EXPERIMENT_NOT_FOUND" });
  const experiment = await declared(client);
  for await (const update of experiment.watch()) {
    assert.equal(update.marker?.revision, 1n);
    break;
  }
  const controller = new AbortController();
  const aborted = experiment.watch({ signal: controller.signal });
  await aborted.next();
  controller.abort();
  await assert.rejects(aborted.next(), { code: "CANCELLED" });
});

type Response = MessageInitShape<typeof WatchResponseSchema>;

test("a watch whose connection is lost continues after the last complete update", async () => {
  const arm = (name: string): Response => ({ arms: [{ arm: { name } }] });
  const marker = (revision: bigint): Response => ({ marker: { revision, epoch: "E" } });
  const sent: Response[][] = [
    [arm("a"), arm("b"), { removals: [{ arm: "a" }] }, marker(7n), marker(7n), arm("lost")],
    [arm("c"), { reset: true }, arm("d"), marker(9n)],
  ];
  const known: unknown[] = [];
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(ResultsService, {
        async *watch({ afterRevision, epoch }) {
          known.push([afterRevision, epoch]);
          const responses = sent[known.length - 1];
          if (responses === undefined) {
            throw new ConnectError("deleted", Code.NotFound);
          }
          yield* responses.map((response) => create(WatchResponseSchema, response));
          throw new ConnectError("stopping", Code.Unavailable);
        },
      }),
  });
  const server = createServer(handler);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  after(() => server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const found: unknown[] = [];
  for await (const update of connected(address).experiment("x").watch()) {
    const names = update.arms.map((item) => item.arm?.name);
    found.push([names, update.reset, update.marker?.revision, update.deleted]);
  }
  assert.deepEqual(found, [
    [["b"], false, 7n, false], [["d"], true, 9n, false], [[], false, undefined, true],
  ]);
  assert.deepEqual(known, [[undefined, undefined], [7n, "E"], [9n, "E"]]);
});
