import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { events, type ExperimentHandle } from "podium-client";
import {
  ExperimentDeclaredSchema, ExperimentStatus, RankRequestSchema, RankResponseSchema,
} from "podium-client/v1";

import { armOf, expect } from "./compare.js";
import { failure } from "./reads.js";
import { checkNamed } from "./writes.js";

/** A case of a file of rankings. */
export interface RankCase {
  name: string;
  experiment: JsonObject;
  arms: JsonObject[];
  ranks: Question[];
  conclusion?: { status: string };
}

interface Question {
  request: JsonObject;
  response?: JsonObject;
  error?: { code: string; reason: string };
}

export async function rank(one: RankCase, experiment: ExperimentHandle): Promise<void> {
  const declared = fromJson(ExperimentDeclaredSchema, one.experiment);
  const recorded = one.arms.map((arm) => events.armRecorded(armOf(arm)));
  await experiment.record([events.experimentDeclared(declared), ...recorded]);
  for (const question of one.ranks) {
    await ask(question, experiment);
  }
  if (one.conclusion !== undefined) {
    const { status } = await experiment.get();
    expect("the status", `EXPERIMENT_STATUS_${ExperimentStatus[status]}`, one.conclusion.status);
  }
}

async function ask({ request, response, error }: Question, experiment: ExperimentHandle): Promise<void> {
  const { metric, direction, statuses, byGroup, minMembers } = fromJson(RankRequestSchema, request);
  const answer = experiment.rank({ metric, direction, statuses, byGroup, minMembers });
  const where = `rank(${JSON.stringify(request)})`;
  if (error === undefined) {
    checkNamed(response ?? {}, RankResponseSchema, await answer, where);
  } else {
    const failed = await failure(answer);
    expect(where, [failed.code, failed.reason], [error.code, error.reason]);
  }
}
