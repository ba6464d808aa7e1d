import { type ArmRun, Client } from "podium-client";

const client = new Client();
const experiment = client.experiment("rank_sweep_ts");
await experiment.declare({ successMetric: "test.pass_rate" });

// The arm completes when the function returns. If it throws, the arm fails with the error.
// An outage of the server that is shorter than 10 minutes loses nothing.
await experiment.runArm({ name: "lora_rank8" }, { timeoutMs: 600_000 }, train);
client.close();

async function train(run: ArmRun): Promise<void> {
  for (let step = 0; step <= 200; step += 100) {
    await run.log({ loss: 1 / (step + 1) }, step);
    await run.logEval({ name: "val", step, metrics: { pass_rate: 0.4 + step / 1000 } });
  }
  await run.logEval({ name: "test", tags: ["test"], metrics: { pass_rate: 0.61 } });
}
