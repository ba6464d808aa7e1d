export { ArmHandle, type DeleteOptions, type EvalFilter } from "./arm_handle.js";
export { ArmResult, type Metrics, type Score } from "./arm_result.js";
export { ArmRun, type EvalRow, type FinishOptions, type StartOptions } from "./arm_run.js";
export type { ExperimentFilter } from "./client_base.js";
export { type CallOptions, readTimeoutMs, writeTimeoutMs } from "./connection.js";
export { type ErrorParts, PodiumError, type RefusedEvent } from "./errors.js";
export * as events from "./events.js";
export {
  type ArmFilter,
  ExperimentHandle,
  type RankOptions,
  type RecordOptions,
  type ScoresOptions,
} from "./experiment_handle.js";
export { Live, LiveState } from "./live.js";
export type { LiveRankOptions, Points } from "./live_reads.js";
export { fromValue, type Plain, toValue } from "./values.js";
export type { FollowOptions, WatchOptions } from "./watching.js";
