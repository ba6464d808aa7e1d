/**
 * Holds this client to the vectors of the project: see tests/conformance/README.md there.
 *
 *     node build/conformance/main.js PLAN
 */

import { readFileSync } from "node:fs";
import { basename } from "node:path";

import type { JsonValue } from "@bufbuild/protobuf";
import { Client } from "podium-client";

import { rank, type RankCase } from "./rankings.js";
import { exchange, readLocally, readServed, type ReadCase } from "./reads.js";
import { write, type WriteCase } from "./writes.js";

interface Entry {
  file: string;
  address: string;
  exchange?: "write" | "read";
  experiment: string;
  arm: { name: string } & Record<string, JsonValue>;
}

let experiments = 0;

async function main(plan: string): Promise<void> {
  for (const entry of readJson(plan) as Entry[]) {
    const client = new Client(entry.address);
    await goThrough(entry, client);
    client.close();
  }
}

async function goThrough(entry: Entry, client: Client): Promise<void> {
  if (entry.exchange !== undefined) {
    const { experiment, arm } = entry;
    const handle = client.experiment(experiment);
    const isWrite = entry.exchange === "write";
    const name = `${experiment}/${arm.name}`;
    await tell("exchange", entry.exchange, name, () => exchange(handle, arm, isWrite));
    return;
  }
  const { cases } = readJson(entry.file) as { cases: unknown[] };
  const file = basename(entry.file);
  for (const one of cases) {
    if (file.startsWith("reads")) {
      await goThroughRead(file, one as ReadCase, client);
    } else if (file.startsWith("rank")) {
      await goThroughRanking(file, one as RankCase, client);
    } else {
      await goThroughWrite(file, one as WriteCase, client);
    }
  }
}

async function goThroughRead(file: string, one: ReadCase, client: Client): Promise<void> {
  await tell(file, "pure", one.name, () => readLocally(one));
  await tell(file, "wire", one.name, () => readServed(one, client.experiment(newExperiment())));
}

async function goThroughRanking(file: string, one: RankCase, client: Client): Promise<void> {
  await tell(file, "wire", one.name, () => rank(one, client.experiment(newExperiment())));
}

async function goThroughWrite(file: string, one: WriteCase, client: Client): Promise<void> {
  await tell(file, "wire", one.name, () => write(one, client, newExperiment()));
}

/** Reports a case: whatever it throws is what disagreed. */
async function tell(
  file: string, way: string, name: string, check: () => Promise<void>,
): Promise<void> {
  let detail = "";
  try {
    await check();
  } catch (error) {
    detail = String(error) || "disagrees";
  }
  console.log(JSON.stringify({ file, way, case: name, ok: detail === "", detail }));
}

/** Each case has an experiment of its own. */
function newExperiment(): string {
  experiments += 1;
  return `conformance/typescript/${experiments}`;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf-8"));
}

const [plan] = process.argv.slice(2);
if (plan === undefined) {
  throw new Error("usage: main.js PLAN");
}
await main(plan);
