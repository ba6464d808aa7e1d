import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";

import { Client, events, type ExperimentHandle } from "podium-client";

/** Where a real server answers: PODIUM_ADDRESS, or one that the tests of a file start. */
export async function serverAddress(): Promise<string> {
  return process.env["PODIUM_ADDRESS"] || (await startServer())[0]!;
}

/** Where a real server answers HTTP: PODIUM_HTTP_ADDRESS, or one that the tests of a file start. */
export async function httpAddress(): Promise<string> {
  return process.env["PODIUM_HTTP_ADDRESS"] || (await startServer("--http", "127.0.0.1:0"))[1]!;
}

/** A client that is closed after the tests of the file. */
export function connected(address: string): Client {
  const client = new Client(address);
  after(() => client.close());
  return client;
}

let experiments = 0;

/** An experiment of the test's own. */
export async function declared(client: Client): Promise<ExperimentHandle> {
  experiments += 1;
  const experiment = client.experiment(`typescript/${process.pid}/${Date.now()}/${experiments}`);
  await experiment.record([events.experimentDeclared({ successMetric: "test.acc" })]);
  return experiment;
}

/** Starts a server. Returns the addresses that it listens on. */
async function startServer(...http: string[]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "podium-"));
  const store = `sqlite:///${join(folder, "podium.db")}`;
  const server = spawn("podium", ["serve", "--listen", "127.0.0.1:0", "--store", store, ...http], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  server.on("error", (error) => {
    console.error("these tests need a server: set PODIUM_ADDRESS, or have podium on the PATH");
    throw error;
  });
  after(async () => {
    server.kill("SIGTERM");
    await once(server, "exit");
    rmSync(folder, { recursive: true });
  });
  const addresses: string[] = [];
  for await (const line of createInterface({ input: server.stdout })) {
    addresses.push(line.replace("listening on ", ""));
    if (addresses.length === (http.length === 0 ? 1 : 2)) {
      break;
    }
  }
  return addresses;
}
