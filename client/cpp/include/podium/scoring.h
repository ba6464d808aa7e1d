/// Functions that read an arm in memory, by the same rules as the server.
#pragma once

#include <google/protobuf/map.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "podium/v1/arm_result.pb.h"
#include "podium/v1/score.pb.h"

namespace podium {

/// A score and its source.
struct Score {
  /// The value, which can be NaN.
  double value;
  /// The result that has the score.
  v1::ScoreSource source;
};

/// Returns the row of an eval, or null if there is none.
///
/// Without a step, this is the post-training row, or else the in-loop row with the greatest step.
/// With a step, it is the in-loop row at exactly that step. Steps can be 0 or negative.
[[nodiscard]] const v1::EvalResult* eval(const v1::ArmResult& arm, std::string_view name,
                                         std::optional<std::int64_t> step = std::nullopt);

/// Returns the score on a metric, which is a key, or the name of an eval, a dot and a key. A score can be NaN.
///
/// Throws an Error (INVALID_ARGUMENT, NAME_INVALID) if the metric is empty.
[[nodiscard]] std::optional<double> score(const v1::ArmResult& arm, std::string_view metric);

/// Returns the score on a metric, and its source. Throws as score() does.
[[nodiscard]] std::optional<Score> find_score(const v1::ArmResult& arm, std::string_view metric);

/// Returns the primary eval: the first post-training row tagged `test`, or else the first post-training row, or
/// else the first row. Rows with a model_ref are never primary. Null if there is none.
[[nodiscard]] const v1::EvalResult* primary_eval(const v1::ArmResult& arm);

/// Returns the given `eval_metrics`, or else those of the primary eval.
[[nodiscard]] const google::protobuf::Map<std::string, double>& effective_eval_metrics(const v1::ArmResult& arm);

/// Returns the given `eval_breakdowns`, or else those of the primary eval.
[[nodiscard]] const google::protobuf::Map<std::string, v1::Value>& effective_eval_breakdowns(
    const v1::ArmResult& arm);

/// Returns the given `eval_seconds`, or else those of the primary eval.
[[nodiscard]] std::optional<double> effective_eval_seconds(const v1::ArmResult& arm);

}  // namespace podium
