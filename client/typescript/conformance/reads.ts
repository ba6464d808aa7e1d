import { clone, create, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import {
  type ArmResult, type ArmHandle, events, type ExperimentHandle, PodiumError, type Score,
} from "podium-client";
import {
  ArmResultSchema, type EvalResult, EvalResultSchema, ScoreResponseSchema,
} from "podium-client/v1";

import { armOf, bareArm, bareRow, expect, expectSame } from "./compare.js";

/** A case of a file of reads. */
export interface ReadCase {
  name: string;
  arm: JsonObject;
  refused?: string;
  reads?: JsonObject;
  evals?: { name: string; step?: string; row: number | null }[];
  scores?: { metric: string; answer?: JsonValue; error?: string }[];
}

/** One way of asking an arm. */
interface Asked {
  eval(name: string, step?: bigint): Promise<EvalResult | undefined>;
  findScore(metric: string): Promise<Score | undefined>;
  get(): Promise<ArmResult>;
}

export async function readLocally(one: ReadCase): Promise<void> {
  const arm = armOf(one.arm);
  await check(one, {
    eval: async (name, step) => arm.eval(name, step),
    findScore: async (metric) => arm.findScore(metric),
    get: async () => arm,
  });
}

export async function readServed(one: ReadCase, experiment: ExperimentHandle): Promise<void> {
  const given = armOf(one.arm);
  if (one.refused !== undefined) {
    const failed = await failure(declareAndRecord(experiment, given));
    expect("the refusal", failed.reason, one.refused);
    return;
  }
  await declareAndRecord(experiment, given);
  const handle = experiment.arm(given.name);
  await check(one, handle);
  await checkRows(given, handle);
}

/** Writes an arm, or gets it and compares it with the one given. */
export async function exchange(
  experiment: ExperimentHandle, arm: JsonObject, isWrite: boolean,
): Promise<void> {
  const given = armOf(arm);
  if (isWrite) {
    await declareAndRecord(experiment, given);
    return;
  }
  const found = await experiment.arm(given.name).get();
  expectSame("arm", ArmResultSchema, bareArm(found.message), bareArm(given.message));
}

async function declareAndRecord(experiment: ExperimentHandle, arm: ArmResult): Promise<void> {
  await experiment.record([events.experimentDeclared()]);
  await experiment.record([events.armRecorded(arm)]);
}

async function check(one: ReadCase, asked: Asked): Promise<void> {
  await checkEvals(one, asked);
  await checkScores(one, asked);
  checkReads(one, await asked.get());
}

async function checkEvals(one: ReadCase, asked: Asked): Promise<void> {
  const given = armOf(one.arm);
  for (const { name, step, row } of one.evals ?? []) {
    const found = await asked.eval(name, step === undefined ? undefined : BigInt(step));
    const wanted = row === null ? undefined : given.evals[row];
    const what = `eval(${JSON.stringify(name)}, ${step})`;
    if (found === undefined || wanted === undefined) {
      expect(what, found, wanted);
    } else {
      expectSame(what, EvalResultSchema, bare(found), bare(wanted));
    }
  }
}

function bare(row: EvalResult): EvalResult {
  const result = clone(EvalResultSchema, row);
  bareRow(result);
  return result;
}

async function checkScores(one: ReadCase, asked: Asked): Promise<void> {
  for (const { metric, answer, error } of one.scores ?? []) {
    const what = `score(${JSON.stringify(metric)})`;
    if (error !== undefined) {
      expect(what, (await failure(asked.findScore(metric))).code, error);
    } else {
      const wanted = fromJson(ScoreResponseSchema, answer!);
      const found = response(await asked.findScore(metric));
      expectSame(what, ScoreResponseSchema, found, wanted);
    }
  }
}

function response(score: Score | undefined): ReturnType<typeof create<typeof ScoreResponseSchema>> {
  if (score === undefined) {
    return create(ScoreResponseSchema);
  }
  const { value, ...source } = score;
  return create(ScoreResponseSchema, { value, source });
}

/** Holds the fields that a case names against those of the arm as they read. */
function checkReads(one: ReadCase, arm: ArmResult): void {
  const names = Object.keys(one.reads ?? {});
  const wanted = armOf(one.reads ?? {}).message;
  const { evalMetrics, evalBreakdowns, evalSeconds } = arm;
  const reads: Record<string, unknown> = { evalMetrics, evalBreakdowns, evalSeconds };
  for (const name of names) {
    expect(name, reads[name], wanted[name as "evalMetrics"]);
  }
}

/** Holds the rows that the server has against those given, without repetitions. */
async function checkRows(given: ArmResult, handle: ArmHandle): Promise<void> {
  const isFirst = (row: EvalResult, index: number, rows: EvalResult[]): boolean =>
    rows.findIndex(({ name, step }) => name === row.name && step === row.step) === index;
  const wanted = create(ArmResultSchema, { evals: given.evals.filter(isFirst) });
  const found = create(ArmResultSchema, { evals: (await handle.get()).evals });
  expectSame("rows", ArmResultSchema, bareArm(found), bareArm(wanted));
}

/** The error that a promise fails with. */
export async function failure(promise: Promise<unknown>): Promise<PodiumError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof PodiumError) {
      return error;
    }
    throw error;
  }
  throw new Error("an answer instead of an error");
}
