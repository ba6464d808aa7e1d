import { Client, events } from "podium-client";
import { ArmStatus } from "podium-client/v1";

const client = new Client(); // localhost:50051, or where PODIUM_ADDRESS says

const attempt = { id: crypto.randomUUID(), order: BigInt(Date.now()) };
const val = { name: "val", step: 100n, metrics: { pass_rate: 0.52 } };
const test = { name: "test", tags: ["test"], metrics: { pass_rate: 0.61 } };
await client.experiment("rank_sweep_ts").record([
  events.experimentDeclared({ successMetric: "test.pass_rate" }),
  events.armStarted({
    arm: "lora_rank4",
    runConfig: { name: "lora_rank4" },
    attempt,
    mode: { case: "restart", value: true },
  }),
  events.metricsRecorded("lora_rank4", { loss: 0.31 }, attempt.id),
  events.evalRecorded("lora_rank4", val, attempt.id),
  events.evalRecorded("lora_rank4", test, attempt.id),
  events.armFinished({ arm: "lora_rank4", attemptId: attempt.id, status: ArmStatus.COMPLETED }),
]);

const arm = client.arm("rank_sweep_ts", "lora_rank4"); // a handle; no call yet
const row = await arm.eval("val", 100); // EvalResult | undefined
const score = await arm.score("test.pass_rate"); // number | undefined
console.log(row?.metrics, score); // { pass_rate: 0.52 } 0.61

const snapshot = await arm.get(); // the whole arm as of one revision
console.log(snapshot.eval("val", 99), snapshot.score("loss")); // undefined 0.31: asks no server

client.close();
