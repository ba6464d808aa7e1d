import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build } from "esbuild";
import type * as browser from "podium-client/browser";
import { ArmStatus } from "podium-client/v1";

import { httpAddress } from "./server.js";

const folder = mkdtempSync(join(tmpdir(), "podium-"));
after(() => rmSync(folder, { recursive: true }));

/** The client as a web page gets it. A module of Node.js in it would fail the build. */
async function bundled(): Promise<typeof browser> {
  const outfile = join(folder, "podium.mjs");
  const entry = fileURLToPath(import.meta.resolve("podium-client/browser"));
  await build({ entryPoints: [entry], outfile, bundle: true, format: "esm", platform: "browser" });
  return (await import(pathToFileURL(outfile).href)) as typeof browser;
}

const { ArmResult, Client, events, PodiumError } = await bundled();

function connected(address?: string, options?: browser.ClientOptions): browser.Client {
  const client = new Client(address, options);
  after(() => client.close());
  return client;
}

const client = connected(await httpAddress());

async function failure(call: Promise<unknown>): Promise<browser.PodiumError> {
  const error = await call.then(() => "no error", (failed: unknown) => failed);
  assert.ok(error instanceof PodiumError, String(error));
  return error;
}

let experiments = 0;

async function declared(client: browser.Client): Promise<browser.ExperimentHandle> {
  const experiment = client.experiment(`browser/${process.pid}/${Date.now()}/${++experiments}`);
  await experiment.declare({ successMetric: "test.acc" });
  return experiment;
}

test("a web page evaluates, scores, ranks and gets snapshots, and records a training", async () => {
  const experiment = await declared(client);
  await experiment.runArm({ name: "a" }, {}, async (run) => {
    await run.log({ loss: Number.NaN }, 2n ** 53n + 1n);
    await run.logEval({ name: "val", step: 0, metrics: { acc: 0.25 } });
    await run.logEval({ name: "test", metrics: { acc: 0.5 } });
  });
  const arm = experiment.arm("a");
  assert.deepEqual((await arm.eval("val", 0))?.metrics, { acc: 0.25 });
  assert.equal(await arm.eval("val", 1), undefined);
  assert.equal(await arm.score("loss"), Number.NaN);
  assert.deepEqual((await experiment.rank()).arms.map(({ arm, score }) => [arm, score]), [["a", 0.5]]);
  const snapshot = await arm.get();
  assert.ok(snapshot instanceof ArmResult);
  assert.deepEqual([snapshot.status, snapshot.score("test.acc")], [ArmStatus.COMPLETED, 0.5]);
});

test("a web page gets the reason of an error, and each rejected event", async () => {
  const experiment = await declared(client);
  const missing = await failure(experiment.arm("b").eval("val"));
  assert.deepEqual([missing.code, missing.reason, missing.metadata["arm"]], ["NOT_FOUND", "ARM_NOT_FOUND", "b"]);
  const rejected = await failure(experiment.record([events.metricsRecorded("b", { loss: 1 })]));
  assert.deepEqual(rejected.refusals.map(({ index, reason }) => [index, reason]), [[0, "ARM_NOT_FOUND"]]);
});

test("a web page watches an experiment until it is deleted", async () => {
  const experiment = await declared(client);
  const seen: string[] = [];
  for await (const update of experiment.watch()) {
    seen.push(update.deleted ? "deleted" : String(update.marker?.revision));
    if (update.marker?.revision === 1n) {
      await experiment.record([events.armStarted({ arm: "a", runConfig: { name: "a" }, attempt: { id: "A", order: 1n } })]);
    } else if (!update.deleted) {
      await experiment.delete();
    }
  }
  assert.deepEqual(seen, ["1", "2", "deleted"]);
});

test("a read is repeated when its connection is lost, and a write is not", async () => {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    if (requests < 3) {
      request.socket.destroy();
      return;
    }
    response.writeHead(404, { "content-type": "application/json" }).end('{"code": "not_found"}');
  }).listen(0, "127.0.0.1");
  after(() => server.close());
  await new Promise((ready) => server.once("listening", ready));
  const broken = connected(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  assert.equal((await failure(broken.arm("x", "a").score("acc"))).code, "NOT_FOUND");
  assert.equal(requests, 3);
  requests = 0;
  const lost = await failure(broken.experiment("x").record([]));
  assert.equal(lost.code, "UNAVAILABLE");
  assert.match(lost.message, /the connection to http.* was lost during the call .* is unknown/);
  assert.equal(requests, 1);
});

test("a call that is given up is cancelled, and so are those of a client that is closed", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  after(() => silent.closeAllConnections());
  await new Promise((ready) => silent.once("listening", ready));
  after(() => silent.close());
  const given = connected(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  const arrived = (): Promise<unknown> => new Promise((ready) => silent.once("request", ready));
  for (const give of ["up", "closed"]) {
    const controller = new AbortController();
    const request = arrived();
    const call = failure(given.arm("x", "a").eval("val", undefined, { signal: controller.signal }));
    await request;
    give === "up" ? controller.abort() : given.close();
    assert.equal((await call).code, "CANCELLED", give);
  }
});

test("a token is sent with each call, but not over a network without encryption", async () => {
  let sent: string | undefined;
  const server = createServer((request, response) => {
    sent = request.headers.authorization;
    response.writeHead(401, { "content-type": "application/json" }).end('{"code": "unauthenticated"}');
  }).listen(0, "127.0.0.1");
  after(() => server.close());
  await new Promise((ready) => server.once("listening", ready));
  const here = connected(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { token: "pdm_a_b" });
  assert.equal((await failure(here.arm("x", "a").score("acc"))).code, "UNAUTHENTICATED");
  assert.equal(sent, "Bearer pdm_a_b");
  const away = connected("http://podium.invalid", { token: "pdm_a_b" });
  assert.match((await failure(away.arm("x", "a").score("acc"))).message, /without encryption: use https/);
});

test("the server of a page is its own, and an address is a URL", () => {
  assert.throws(() => new Client("localhost:8080"), TypeError);
  assert.throws(() => new Client(), TypeError); // There is no page.
  Object.assign(globalThis, { location: { origin: "http://localhost:1" } });
  new Client().close();
});
