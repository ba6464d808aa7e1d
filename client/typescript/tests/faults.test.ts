import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { createServer as createHttp2Server } from "node:http2";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Client, PodiumError } from "podium-client";
import { AccessService, RecordingService, ResultsService } from "podium-client/v1";

import { ErrorInfoSchema, RetryInfoSchema } from "../src/google/rpc/error_details_pb.js";
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
    router.service(AccessService, {
      createToken: () => {
        this.writes += 1;
        throw new ConnectError("stopping", Code.Unavailable);
      },
    });
  };

  #next(): bigint {
    this.#revision += 1n;
    return this.#revision;
  }
}

/** A server that refuses its first calls, and asks to wait before the next one. */
class Overloaded {
  calls = 0;
  /** How often the client began an attempt, whatever came of it. */
  attempts = 0;
  refusals = Infinity;
  delayMs = 1;
  reason = "OVERLOADED";
  refused = (): void => {};

  readonly routes = (router: ConnectRouter): void => {
    router.service(ResultsService, { score: () => this.#answer({ value: 0.5 }) });
    router.service(RecordingService, { record: () => this.#answer({}) });
  };

  #answer<T>(response: T): T {
    this.calls += 1;
    if (this.calls > this.refusals) {
      return response;
    }
    this.refused();
    throw new ConnectError("too much", Code.ResourceExhausted, undefined, [
      { desc: ErrorInfoSchema, value: { reason: this.reason, domain: "podium" } },
      { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(this.delayMs) } },
    ]);
  }
}

/** Serves on a place to listen at, until the tests of the file have ended. */
async function serve(service: Troubled | Overloaded, place: string | number): Promise<AddressInfo> {
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

async function overloaded(said: Partial<Overloaded>): Promise<[Overloaded, Client]> {
  const service = Object.assign(new Overloaded(), said);
  const { port } = await serve(service, 0);
  const counts: Interceptor = (next) => (request) => {
    service.attempts += 1;
    return next(request);
  };
  const client = new Client(`127.0.0.1:${port}`, { interceptors: [counts] });
  after(() => client.close());
  return [service, client];
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
  assert.ok(service.timeoutMs! > 0 && service.timeoutMs! <= 10_000, String(service.timeoutMs));
});

test("a write is sent once: whether it was stored is unknown, and its error says so", async () => {
  const [service, client] = await troubled();
  const failed = await failure(client.experiment("x").record([]));
  assert.equal(failed.code, "UNAVAILABLE");
  assert.match(failed.message, /is unknown/);
  assert.equal(service.writes, 1);
  assert.ok(service.timeoutMs! > 10_000 && service.timeoutMs! <= 30_000, String(service.timeoutMs));
});

test("a token is created by one call: a second one would create another token", async () => {
  const [service, client] = await troubled();
  const failed = await failure(client.call(AccessService.method.createToken, { name: "ci" }));
  assert.equal(failed.code, "UNAVAILABLE");
  assert.equal(service.writes, 1);
});

test("a call that an overloaded server refuses is repeated when the server asks for it", async () => {
  const [reading, reader] = await overloaded({ refusals: 20 });
  await reader.arm("x", "a").findScore("acc");
  assert.equal(reading.calls, 21);
  const [writing, writer] = await overloaded({ refusals: 20 });
  await writer.experiment("x").record([]);
  assert.equal(writing.calls, 21);
});

test("what stays as it is, such as a full disk, is no reason to repeat a call", async () => {
  const [service, client] = await overloaded({ reason: "STORAGE_FULL" });
  assert.equal((await failure(client.arm("x", "a").score("acc"))).reason, "STORAGE_FULL");
  assert.equal(service.calls, 1);
});

test("a call is not repeated where the pause would end after its time", async () => {
  const [service, client] = await overloaded({ delayMs: 3_600_000 });
  assert.equal((await failure(client.arm("x", "a").score("acc"))).reason, "OVERLOADED");
  assert.equal((await failure(client.experiment("x").record([]))).reason, "OVERLOADED");
  assert.equal(service.attempts, 2);
  service.delayMs = 600;
  await failure(client.arm("x", "a").score("acc", { timeoutMs: 1_000 }));
  assert.ok(service.attempts <= 4, `${service.attempts - 2} attempts`);
});

test("a call is not repeated where a pause took longer than the time that was left", async () => {
  const [service, client] = await overloaded({ delayMs: 200 });
  const blocks = (): void => {
    const end = performance.now() + 600;
    while (performance.now() < end); // Nothing else runs meanwhile, no timer either.
  };
  service.refused = () => setTimeout(blocks, 100);
  await failure(client.arm("x", "a").score("acc", { timeoutMs: 500 }));
  assert.equal(service.attempts, 1);
});

test("a read is repeated when its connection is lost", async () => {
  const service = new Overloaded();
  service.refusals = 0;
  const server = createHttp2Server(connectNodeAdapter({ routes: service.routes }));
  after(() => server.close());
  let streams = 0;
  server.prependListener("stream", ({ session }) => {
    streams += 1;
    if (streams === 1) {
      session?.destroy();
    }
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const client = connected(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  await client.arm("x", "a").score("acc");
  assert.equal(streams, 2);
});

test("metadata that cannot be sent is no reason to repeat a call", async () => {
  const [service, client] = await overloaded({ refusals: 0 });
  const headers = { connection: "close" }; // HTTP/2 has no such header.
  await assert.rejects(client.arm("x", "a").score("acc", { headers }), (error: Error) =>
    !error.message.includes("no Podium server answers"));
  assert.equal(service.calls, 0);
  assert.ok(service.attempts <= 1);
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
  assert.ok(service.timeoutMs! > 10_000, String(service.timeoutMs));
  assert.equal(service.token, "Bearer client");
  const options = { timeoutMs: 90_000, headers: { authorization: "Bearer call" } };
  using other = new Client(`127.0.0.1:${port}`);
  await other.arm("x", "a").score("acc", options);
  assert.ok(service.timeoutMs! > 60_000, String(service.timeoutMs));
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

test("a server that accepts and says nothing ends in a deadline", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  after(() => silent.close());
  await new Promise((ready) => silent.once("listening", ready));
  const client = connected(`127.0.0.1:${(silent.address() as AddressInfo).port}`);
  const read = await failure(client.arm("x", "a").eval("val", 0, { timeoutMs: 200 }));
  assert.equal(read.code, "DEADLINE_EXCEEDED");
  assert.match(read.message, /did not answer within 0\.2 s$/);
  const write = await failure(client.experiment("x").delete({ timeoutMs: 200 }));
  assert.match(write.message, /is unknown/);
});

test("a write to an absent server never left, and its error has a hint", async () => {
  const socket = join(tmpdir(), "podium-nobody-listens-here");
  for (const address of ["127.0.0.1:1", "localhost:1", `unix:${socket}`]) {
    const absent = await failure(connected(address).experiment("x").delete());
    assert.equal(absent.code, "UNAVAILABLE", address);
    assert.match(absent.message, /podium serve/);
    assert.doesNotMatch(absent.message, /unknown/, address);
  }
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

test("a call that a stopping server rejects is sent to the next server at once", async () => {
  const service = Object.assign(new Overloaded(), { reason: "SHUTTING_DOWN", refusals: 1, delayMs: 3_600_000 });
  const { port } = await serve(service, 0);
  await connected(`127.0.0.1:${port},localhost:${port}`).experiment("x").record([]);
  assert.equal(service.calls, 2);
});

test("each server gets calls, and one that is absent gets none", async () => {
  const [one, other] = [new Overloaded(), new Overloaded()].map((each) => Object.assign(each, { refusals: 0 }));
  const [{ port }, { port: otherPort }] = [await serve(one!, 0), await serve(other!, 0)];
  const client = connected(`127.0.0.1:1,127.0.0.1:${port},127.0.0.1:${otherPort}`);
  for (let call = 0; call < 6; call++) {
    await client.experiment("x").record([]);
  }
  assert.ok(one!.calls > 0 && other!.calls > 0, `${one!.calls} and ${other!.calls} calls`);
  assert.equal(one!.calls + other!.calls, 6);
});

test("if no server answers, the error names all addresses, and no write was sent", async () => {
  const absent = await failure(connected("127.0.0.1:1,127.0.0.1:2").experiment("x").delete());
  assert.match(absent.message, /^no Podium server answers at 127\.0\.0\.1:1,127\.0\.0\.1:2:/);
  assert.doesNotMatch(absent.message, /unknown/);
});

test("white space and repetitions in a list are left out, and a malformed address is named", () => {
  connected(" one:1, [::1]:2,one:1\n");
  connected("unix:/run/a,b");
  const malformed = {
    "one:1,two": "two",
    "one:1,": "",
    "one:1,unix:/run/podium.sock": "unix:/run/podium.sock",
    "one:1,two:65536": "two:65536",
    "one:65536": "one:65536",
  };
  for (const [list, bad] of Object.entries(malformed)) {
    const message = `an address is HOST:PORT or unix:PATH, not "${bad}"`;
    assert.throws(() => new Client(list), { name: "TypeError", message });
  }
});

test("a token stays here if only some of the servers are on this machine", async () => {
  using client = new Client("127.0.0.1:1,results.example:2", { token: "pdm_a_b" });
  for (let call = 0; call < 2; call++) {
    assert.match((await failure(client.experiment("x").record([]))).message, /without encryption/);
  }
});

test("a socket is an address too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "podium-"));
  after(() => rmSync(folder, { recursive: true }));
  await serve(new Troubled(), join(folder, "socket"));
  assert.equal(await connected(`unix:${join(folder, "socket")}`).arm("x", "a").score("acc"), 0.5);
});
