/** Every message, enum and service of the protocol `podium.v1`, as they were generated. */
export * from "./podium/v1/arm_result_pb.js";
export * from "./podium/v1/error_reason_pb.js";
export * from "./podium/v1/eval_result_pb.js";
export * from "./podium/v1/event_pb.js";
export * from "./podium/v1/experiment_pb.js";
export * from "./podium/v1/metric_pb.js";
export * from "./podium/v1/ranking_pb.js";
export * from "./podium/v1/recording_service_pb.js";
export * from "./podium/v1/results_service_pb.js";
export * from "./podium/v1/run_config_pb.js";
export * from "./podium/v1/run_result_pb.js";
export * from "./podium/v1/score_pb.js";
export * from "./podium/v1/score_matrix_pb.js";
export * from "./podium/v1/series_pb.js";
export * from "./podium/v1/server_pb.js";
export * from "./podium/v1/value_pb.js";
export * from "./podium/v1/watch_pb.js";
