/**
 * Answers each request that it reads with what this client answers: see
 * tests/conformance/README.md of the project.
 */

import { createInterface } from "node:readline";

import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { ArmResult, Client, PodiumError, type Score } from "podium-client";
import {
  ArmResultSchema,
  EvalRequestSchema,
  EvalResponseSchema,
  GetArmRequestSchema,
  GetArmResponseSchema,
  GetExperimentRequestSchema,
  GetExperimentResponseSchema,
  ListSeriesRequestSchema,
  ListSeriesResponseSchema,
  RankRequestSchema,
  RankResponseSchema,
  RecordingService,
  RecordRequestSchema,
  RecordResponseSchema,
  ResultsService,
  ScoreRequestSchema,
  ScoreResponseSchema,
  ScoresRequestSchema,
  ScoresResponseSchema,
  WatchMarkerSchema,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "podium-client/v1";

import type { ClientBase } from "../src/client_base.js";
import { recordAttempt } from "./attempts.js";
import { httpClient } from "./protocols.js";

/** A line that is read. Messages are bytes in base64. */
interface Asked {
  way: "pure" | "client" | "live" | "attempt" | "stub";
  call: string;
  request: string;
  address?: string;
  protocol?: string;
  arm?: string;
  /** The number of updates after which a watch ends; 0 if it goes on to its end. */
  take?: number;
  /** The deadline of a read, if it is not the default. */
  timeout_ms?: number;
}

const clients = new Map<string, ClientBase>();

async function answered(line: string): Promise<unknown> {
  const asked = JSON.parse(line) as Asked;
  const responses: string[] = [];
  try {
    if (asked.call !== "Watch") {
      return { response: base64(await respond(asked)) };
    }
    for await (const update of watched(clientOf(asked), asked)) {
      responses.push(base64(toBinary(WatchResponseSchema, update)));
      if (responses.length === asked.take) {
        break;
      }
    }
    return { responses };
  } catch (error) {
    return { responses, error: failure(error) };
  }
}

function failure(error: unknown): unknown {
  if (!(error instanceof PodiumError)) {
    return { code: "UNKNOWN", message: String(error) };
  }
  const { code, reason, message, metadata, refusals } = error;
  return { code, reason, message, metadata, refusals };
}

function watched(client: ClientBase, asked: Asked): AsyncIterable<WatchResponse> {
  const { experiment, afterRevision, epoch, ...given } = requested(WatchRequestSchema, asked);
  const { statuses, withoutEvals, withoutBreakdowns, withSeries, seriesKeys } = given;
  const { groupName, namePrefix } = given;
  const after = afterRevision === undefined
    ? undefined
    : create(WatchMarkerSchema, { revision: afterRevision, epoch: epoch ?? "" });
  return client.experiment(experiment).watch({
    after, statuses, withoutEvals, withoutBreakdowns, withSeries, seriesKeys,
    ...(groupName === undefined ? {} : { groupName }),
    ...(namePrefix === undefined ? {} : { namePrefix }),
  });
}

function clientOf({ address = "", protocol = "", timeout_ms: readTimeoutMs }: Asked): ClientBase {
  const key = `${protocol} ${address}`;
  const made = clients.get(key) ??
    (protocol === "" ? new Client(address, { readTimeoutMs }) : httpClient(address, protocol));
  clients.set(key, made);
  return made;
}

async function respond(asked: Asked): Promise<Uint8Array> {
  if (asked.way === "pure") {
    return askArm(new ArmResult(fromBinary(ArmResultSchema, bytes(asked.arm!))), asked);
  }
  const client = clientOf(asked);
  if (asked.way === "attempt") {
    await recordAttempt(client, requested(RecordRequestSchema, asked));
    return new Uint8Array();
  }
  if (asked.way === "live") {
    return askLive(client, asked);
  }
  return asked.way === "client" ? askClient(client, asked) : callStub(client, asked);
}

/** Asks the state of a followed experiment. */
async function askLive(client: ClientBase, asked: Asked): Promise<Uint8Array> {
  const following = async (experiment: string) => {
    const live = await client.experiment(experiment).follow({ withSeries: true });
    await live.close();
    return live.state;
  };
  if (asked.call === "Rank") {
    const { experiment, metric, direction, statuses } = requested(RankRequestSchema, asked);
    return toBinary(RankResponseSchema, (await following(experiment)).rank({ metric, direction, statuses }));
  }
  const { experiment, arm, keys: [key = ""] } = requested(ListSeriesRequestSchema, asked);
  const points = (await following(experiment)).curve(key).get(arm);
  const series = points === undefined ? [] : [{ key, steps: [...points.steps], values: [...points.values] }];
  return written(ListSeriesResponseSchema, { series });
}

function askArm(arm: ArmResult, asked: Asked): Uint8Array {
  switch (asked.call) {
    case "Eval": {
      const { name, step } = requested(EvalRequestSchema, asked);
      return written(EvalResponseSchema, { evalResult: arm.eval(name, step) });
    }
    case "Score":
      return scoreResponse(arm.findScore(requested(ScoreRequestSchema, asked).metric));
    default:
      return whole(arm);
  }
}

async function askClient(client: ClientBase, asked: Asked): Promise<Uint8Array> {
  switch (asked.call) {
    case "Eval": {
      const { experiment, arm, name, step } = requested(EvalRequestSchema, asked);
      const evalResult = await client.arm(experiment, arm).eval(name, step);
      return written(EvalResponseSchema, { evalResult });
    }
    case "Score": {
      const { experiment, arm, metric } = requested(ScoreRequestSchema, asked);
      return scoreResponse(await client.arm(experiment, arm).findScore(metric));
    }
    case "GetArm": {
      const { experiment, arm } = requested(GetArmRequestSchema, asked);
      return whole(await client.arm(experiment, arm).get());
    }
    case "GetExperiment": {
      const { experiment } = requested(GetExperimentRequestSchema, asked);
      const found = await client.experiment(experiment).get();
      return written(GetExperimentResponseSchema, { experiment: found });
    }
    case "Rank": {
      const { experiment, metric, ...options } = requested(RankRequestSchema, asked);
      const named = metric === undefined ? options : { ...options, metric };
      return toBinary(RankResponseSchema, await client.experiment(experiment).rank(named));
    }
    case "Scores": {
      const { experiment, metrics, ...filter } = requested(ScoresRequestSchema, asked);
      return toBinary(ScoresResponseSchema, await client.experiment(experiment).scores(metrics, filter));
    }
    default: {
      const { experiment, events } = requested(RecordRequestSchema, asked);
      return toBinary(RecordResponseSchema, await client.experiment(experiment).record(events));
    }
  }
}

/** Makes a call of either service as it is. */
async function callStub(client: ClientBase, asked: Asked): Promise<Uint8Array> {
  const methods = [...ResultsService.methods, ...RecordingService.methods];
  const method = methods.find(({ name }) => name === asked.call) as DescMethodUnary;
  const response = await client.call(method, fromBinary(method.input, bytes(asked.request)));
  return toBinary(method.output, response);
}

function scoreResponse(score: Score | undefined): Uint8Array {
  const { value, ...source } = score ?? {};
  return written(ScoreResponseSchema, value === undefined ? {} : { value, source });
}

/** An arm as it reads, with the mirrors of its primary eval. */
function whole(arm: ArmResult): Uint8Array {
  const { evalMetrics, evalBreakdowns, evalSeconds } = arm;
  const armResult = { ...arm.message, evalMetrics, evalBreakdowns, evalSeconds };
  return written(GetArmResponseSchema, { armResult });
}

function requested<D extends DescMessage>(schema: D, asked: Asked): MessageShape<D> {
  return fromBinary(schema, bytes(asked.request));
}

function written<D extends DescMessage>(schema: D, fields: Parameters<typeof create<D>>[1]): Uint8Array {
  return toBinary(schema, create(schema, fields));
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, "base64");
}

function base64(message: Uint8Array): string {
  return Buffer.from(message).toString("base64");
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answered(line)));
}
clients.forEach((client) => client.close());
