import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, createSecureServer, type SecureServerOptions } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Client, type ClientOptions, PodiumError } from "podium-client";
import { ResultsService } from "podium-client/v1";

const folder = mkdtempSync(join(tmpdir(), "podium-"));
after(() => rmSync(folder, { recursive: true }));

/** A server that notes the headers of each call, encrypted by options if there are any. */
async function hearing(options?: SecureServerOptions): Promise<[string, () => Headers]> {
  let heard = new Headers();
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(ResultsService, {
        score: (_, { requestHeader }) => {
          heard = requestHeader;
          return {};
        },
      }),
  });
  const server = options === undefined ? createServer(handler) : createSecureServer(options, handler);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  after(() => server.close());
  return [`127.0.0.1:${(server.address() as AddressInfo).port}`, () => heard];
}

/** A certificate for 127.0.0.1 that is its own authority, and its key: two files. */
function issued(name: string): { cert: string; key: string } {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert,
  ], { stdio: "ignore" });
  return { cert, key };
}

async function score(address: string, options: ClientOptions): Promise<void> {
  const client = new Client(address, { readTimeoutMs: 5_000, ...options });
  try {
    await client.arm("x", "a").score("acc");
  } finally {
    client.close();
  }
}

test("a client with the authority's and its own certificate is answered, with its token", async () => {
  const [server, own] = [issued("server"), issued("client")];
  const [address, heard] = await hearing({
    cert: readFileSync(server.cert), key: readFileSync(server.key),
    ca: readFileSync(own.cert), requestCert: true, rejectUnauthorized: true,
  });
  await score(address, { tls: { ca: server.cert, ...own }, token: "pdm_a_b" });
  assert.equal(heard().get("authorization"), "Bearer pdm_a_b");
  Object.assign(process.env, {
    PODIUM_TLS_CA: server.cert, PODIUM_TLS_CERT: own.cert, PODIUM_TLS_KEY: own.key,
  });
  try {
    await score(address, {});
  } finally {
    delete process.env["PODIUM_TLS_CA"];
    delete process.env["PODIUM_TLS_CERT"];
    delete process.env["PODIUM_TLS_KEY"];
  }
  assert.throws(() => new Client(address, { tls: { cert: own.cert } }), TypeError);
  assert.throws(() => new Client("unix:/tmp/x", { tls: true }), TypeError);
});

test("a server of another authority is refused, and the error says so", async () => {
  const [server, other] = [issued("server"), issued("other")];
  const [address] = await hearing({ cert: readFileSync(server.cert), key: readFileSync(server.key) });
  await assert.rejects(score(address, { tls: { ca: other.cert } }), (error: unknown) => {
    assert.ok(error instanceof PodiumError, String(error));
    assert.match(error.message, /no encrypted connection to .*certificate/);
    return error.code === "UNAVAILABLE";
  });
});

test("the user agent names the client, and the file of a token is read for each call", async () => {
  const [address, heard] = await hearing();
  const tokenFile = join(folder, "token");
  const client = new Client(address, { tokenFile });
  after(() => client.close());
  for (const token of ["pdm_a_b", "pdm_c_d"]) {
    writeFileSync(tokenFile, `${token}\n`);
    await client.arm("x", "a").score("acc");
    assert.equal(heard().get("authorization"), `Bearer ${token}`);
  }
  assert.match(heard().get("user-agent") ?? "", /^podium-typescript\/\d/);
  rmSync(tokenFile);
  await assert.rejects(client.arm("x", "a").score("acc"), { code: "UNAUTHENTICATED" });
});

test("a token is not sent without encryption to another machine", async () => {
  const sent = score("192.0.2.1:50051", { token: "pdm_a_b" });
  await assert.rejects(sent, { code: "UNAUTHENTICATED", message: /without encryption/ });
});
