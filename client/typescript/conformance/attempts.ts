/** Records events by the methods of attempts. */

import type { ArmRun, ExperimentHandle } from "podium-client";
import type { ArmStarted, Event, RecordRequest } from "podium-client/v1";

import type { ClientBase } from "../src/client_base.js";

const runs = new Map<string, ArmRun>();

/** Records each event by the newest attempt of its arm. */
export async function recordAttempt(client: ClientBase, asked: RecordRequest): Promise<void> {
  for (const event of asked.events) {
    await recordEvent(client.experiment(asked.experiment), event);
  }
}

async function recordEvent(experiment: ExperimentHandle, { kind }: Event): Promise<void> {
  const run = (arm: string): ArmRun => runs.get(`${experiment.name}/${arm}`)!;
  switch (kind.case) {
    case "armStarted": {
      const started = await start(experiment, kind.value);
      runs.set(`${experiment.name}/${started.name}`, started);
      return;
    }
    case "metricsRecorded":
      return run(kind.value.arm).log(kind.value.metrics, kind.value.step);
    case "evalRecorded":
      return run(kind.value.arm).logEval(kind.value.evalResult!);
    case "armFinished":
      return run(kind.value.arm).finish(kind.value);
    default:
      throw new Error(`no attempt has a method for ${kind.case}`);
  }
}

function start(experiment: ExperimentHandle, given: ArmStarted): Promise<ArmRun> {
  const { groupId, groupName, runId, mode } = given;
  return experiment.startArm(given.runConfig!, {
    name: given.arm || undefined,
    groupId,
    groupName,
    runId,
    attemptId: given.attempt?.id,
    order: given.attempt?.order,
    resumeStep: mode.case === "resumeStep" ? mode.value : undefined,
    restart: mode.case === "restart" && mode.value,
  });
}
