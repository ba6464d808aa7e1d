import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { createServer as createHttp2Server } from "node:http2";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Client, PodiumError } from "podium-client";
import { RecordingService, ResultsService } from "podium-client/v1";

import { Sessions } from "../src/sessions.js";
import { connected } from "./server.js";

/** A server that is away at first, and whose arm never stands still. */
class Troubled {
  reads = 0;
  writes = 0;
  timeoutMs: number | undefined;
  token: string | null = null;
  #revision = 0n;

  readonly routes = (router: ConnectRouter): void => {
    router.service(ResultsService, {
      score: (_, context) => {
        this.reads += 1;
        this.timeoutMs = context.timeoutMs();
        this.token = context.requestHeader.get("authorization");
        if (this.reads < 3) {
          throw new ConnectError("starting", Code.Unavailable);
        }
        return { value: 0.5, source: { key: "acc" } };
      },
      getArm: () => ({
        armResult: { name: "a", revision: this.#next() }, nextEvalsPageToken: "more",
      }),
      listEvals: () => ({ revision: this.#next() }),
    });
    router.service(RecordingService, {
      record: (_, context) => {
        this.writes += 1;
        this.timeoutMs = context.timeoutMs();
        throw new ConnectError("stopping", Code.Unavailable);
      },
    });
  };

  #next(): bigint {
    this.#revision += 1n;
    return this.#revision;
  }
}

/** Serves on a place to listen at, until the tests of the file have ended. */
async function serve(service: Troubled, place: string | number): Promise<AddressInfo> {
  const server = createHttp2Server(connectNodeAdapter({ routes: service.routes }));
  after(() => server.close());
  await new Promise<void>((ready) =>
    typeof place === "string" ? server.listen(place, ready) : server.listen(place, "127.0.0.1", ready));
  return server.address() as AddressInfo;
}

async function listening(): Promise<[Troubled, AddressInfo]> {
  const service = new Troubled();
  return [service, await serve(service, 0)];
}

async function troubled(): Promise<[Troubled, Client]> {
  const [service, { port }] = await listening();
  return [service, connected(`127.0.0.1:${port}`)];
}

async function failure(promise: Promise<unknown>): Promise<PodiumError> {
  const error = await promise.then(() => "no error", (failed: unknown) => failed);
  assert.ok(error instanceof PodiumError, String(error));
  return error;
}

test("a read is repeated while the server is away; it has 10 seconds for that", async () => {
  const [service, client] = await troubled();
  assert.equal(await client.arm("x", "a").score("acc"), 0.5);
  assert.equal(service.reads, 3);
  assert.ok(service.timeoutMs! > 8_000 && service.timeoutMs! <= 10_000, String(service.timeoutMs));
});

test("a write is sent once: whether it was stored is unknown, and its error says so", async () => {
  const [service, client] = await troubled();
  const failed = await failure(client.experiment("x").record([]));
  assert.equal(failed.code, "UNAVAILABLE");
  assert.match(failed.message, /is unknown/);
  assert.equal(service.writes, 1);
  assert.ok(service.timeoutMs! > 28_000 && service.timeoutMs! <= 30_000, String(service.timeoutMs));
});

test("a client and a call say how long they may take, and what they send", async () => {
  const [service, { port }] = await listening();
  using client = new Client(`127.0.0.1:${port}`, {
    readTimeoutMs: 60_000,
    interceptors: [(next) => (request) => {
      request.header.set("authorization", "Bearer client");
      return next(request);
    }],
  });
  await client.arm("x", "a").score("acc");
  assert.ok(service.timeoutMs! > 50_000, String(service.timeoutMs));
  assert.equal(service.token, "Bearer client");
  const options = { timeoutMs: 90_000, headers: { authorization: "Bearer call" } };
  using other = new Client(`127.0.0.1:${port}`);
  await other.arm("x", "a").score("acc", options);
  assert.ok(service.timeoutMs! > 80_000, String(service.timeoutMs));
  assert.equal(service.token, "Bearer call");
});

test("a timeout that timers would take for a moment is refused", async () => {
  const [, client] = await troubled();
  for (const timeoutMs of [0, -1, Number.NaN, Infinity, 2 ** 31]) {
    await assert.rejects(client.arm("x", "a").score("acc", { timeoutMs }), RangeError);
    assert.throws(() => new Client("localhost:1", { readTimeoutMs: timeoutMs }), RangeError);
  }
});

test("an arm that changes between all pages is not brought in pieces of several states", async () => {
  const [, client] = await troubled();
  const failed = await failure(client.arm("x", "a").get());
  assert.equal(failed.code, "ABORTED");
  assert.match(failed.message, /too busy/);
});

test("a server that accepts and says nothing ends in a deadline, an absent one in a hint", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => silent.once("listening", ready));
  const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const waited = await failure(connected(address).arm("x", "a").eval("val", 0, { timeoutMs: 200 }));
  assert.equal(waited.code, "DEADLINE_EXCEEDED");
  silent.close();
  const absent = await failure(connected("127.0.0.1:1").experiment("x").delete());
  assert.equal(absent.code, "UNAVAILABLE");
  assert.match(absent.message, /podium serve/);
});

test("a call that is given up is cancelled, also while it waits to be repeated", async () => {
  const controller = new AbortController();
  const call = connected("127.0.0.1:1").arm("x", "a").eval("val", 0, { signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  assert.equal((await failure(call)).code, "CANCELLED");
});

test("a client that is closed cancels the calls under way", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  after(() => silent.close());
  await new Promise((ready) => silent.once("listening", ready));
  const client = connected(`127.0.0.1:${(silent.address() as AddressInfo).port}`);
  const call = failure(client.arm("x", "a").eval("val"));
  setTimeout(() => client.close(), 50);
  assert.equal((await call).code, "CANCELLED");
});

test("a session that is over is not asked whether it still lives", async () => {
  const server = createHttp2Server();
  server.on("stream", (stream) => stream.on("error", () => {})); // It never answers.
  server.on("sessionError", () => {});
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const pings = { pingIntervalMs: 20, pingIdleConnection: true };
  const sessions = new Sessions(`http://127.0.0.1:${port}`, pings);
  const stream = await sessions.request("POST", "/", {}, {});
  stream.on("error", () => {});
  const closed = new Promise((ready) => stream.once("close", ready));
  sessions.abort();
  await closed;
  await sleep(100); // A ping of a session that is over would be an uncaught error.
});

test("a socket is an address too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "podium-"));
  after(() => rmSync(folder, { recursive: true }));
  await serve(new Troubled(), join(folder, "socket"));
  assert.equal(await connected(`unix:${join(folder, "socket")}`).arm("x", "a").score("acc"), 0.5);
});
