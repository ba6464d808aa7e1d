/// What `eval` and `score` mean, for an arm in your hands: pure, and without a server.
#pragma once

#include <google/protobuf/map.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "podium/v1/arm_result.pb.h"
#include "podium/v1/score.pb.h"

namespace podium {

/// A score and where it came from.
struct Score {
  /// The number; NaN is one.
  double value;
  /// Which result it is part of.
  v1::ScoreSource source;
};

/// The row of the arm that answers for a name; null if there is none.
///
/// Without a step: the post-training row if there is one, else the in-loop row with the greatest
/// step. With a step, 0 and negatives included: the in-loop row at exactly that step.
[[nodiscard]] const v1::EvalResult* eval(const v1::ArmResult& arm, std::string_view name,
                                         std::optional<std::int64_t> step = std::nullopt);

/// The number that a metric has: a key, or the name of an eval and a key with a dot between them.
/// NaN is a number.
///
/// Throws an Error (INVALID_ARGUMENT, NAME_INVALID) if the metric is empty.
[[nodiscard]] std::optional<double> score(const v1::ArmResult& arm, std::string_view metric);

/// The number that a metric has, and where it came from. Throws as score() does.
[[nodiscard]] std::optional<Score> find_score(const v1::ArmResult& arm, std::string_view metric);

/// The primary eval: the first post-training row tagged `test`; else the first post-training row;
/// else the first row. Rows with a model_ref are never primary. Null if there is none.
[[nodiscard]] const v1::EvalResult* primary_eval(const v1::ArmResult& arm);

/// `eval_metrics` as they read: those that were given, else the primary eval's metrics.
[[nodiscard]] const google::protobuf::Map<std::string, double>& effective_eval_metrics(const v1::ArmResult& arm);

/// `eval_breakdowns` as they read: those that were given, else the primary eval's breakdowns.
[[nodiscard]] const google::protobuf::Map<std::string, v1::Value>& effective_eval_breakdowns(
    const v1::ArmResult& arm);

/// `eval_seconds` as they read: those that were given, else the primary eval's.
[[nodiscard]] std::optional<double> effective_eval_seconds(const v1::ArmResult& arm);

}  // namespace podium
