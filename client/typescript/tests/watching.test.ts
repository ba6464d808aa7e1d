import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ArmResult, events } from "podium-client";
import { ArmStatus, ResultsService, WatchResponseSchema } from "podium-client/v1";

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
