#include "podium/scoring.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "podium/error.h"

namespace podium {
namespace {

using Metrics = google::protobuf::Map<std::string, double>;

/// Returns the order of the rows of a name. Without a step, the greatest one is used.
std::pair<bool, std::int64_t> precedence(const v1::EvalResult& row) { return {!row.has_step(), row.step()}; }

/// Returns the class of a row. The primary eval is the first row of the lowest class.
int primary_class(const v1::EvalResult& row) {
  if (row.has_step()) {
    return 2;
  }
  return std::find(row.tags().begin(), row.tags().end(), "test") == row.tags().end() ? 1 : 0;
}

std::optional<Score> score_in(const Metrics& metrics, const std::string& key, v1::ScoreOrigin origin) {
  const auto found = metrics.find(key);
  if (found == metrics.end()) {
    return std::nullopt;
  }
  Score score{found->second, {}};
  score.source.set_origin(origin);
  score.source.set_key(key);
  return score;
}

std::optional<Score> score_of(const v1::EvalResult& row, const std::string& key) {
  const auto origin = row.has_step() ? v1::SCORE_ORIGIN_IN_LOOP_EVAL : v1::SCORE_ORIGIN_POST_TRAINING_EVAL;
  auto score = score_in(row.metrics(), key, origin);
  if (score) {
    score->source.set_eval_name(row.name());
    if (row.has_step()) {
      score->source.set_step(row.step());
    }
  }
  return score;
}

/// Returns whether two sets of metrics are equal. NaN equals NaN.
bool same_metrics(const Metrics& left, const Metrics& right) {
  return left.size() == right.size() && std::all_of(left.begin(), left.end(), [&](const auto& entry) {
           const auto other = right.find(entry.first);
           return other != right.end() && (entry.second == other->second ||
                                           (std::isnan(entry.second) && std::isnan(other->second)));
         });
}

std::optional<Score> bare_score(const v1::ArmResult& arm, const std::string& key) {
  const v1::EvalResult* row = primary_eval(arm);
  const Metrics& given = arm.eval_metrics();
  const bool mirrors = row != nullptr && (given.empty() || same_metrics(given, row->metrics()));
  auto score = mirrors ? score_of(*row, key) : score_in(given, key, v1::SCORE_ORIGIN_GIVEN_EVAL_METRICS);
  return score ? score : score_in(arm.metrics(), key, v1::SCORE_ORIGIN_TRAINING_METRICS);
}

}  // namespace

const v1::EvalResult* eval(const v1::ArmResult& arm, std::string_view name, std::optional<std::int64_t> step) {
  const v1::EvalResult* best = nullptr;
  for (const v1::EvalResult& row : arm.evals()) {
    if (row.name() != name) {
      continue;
    }
    if (step && row.has_step() && row.step() == *step) {
      return &row;
    }
    if (!step && (best == nullptr || precedence(row) > precedence(*best))) {
      best = &row;
    }
  }
  return best;
}

std::optional<double> score(const v1::ArmResult& arm, std::string_view metric) {
  const auto found = find_score(arm, metric);
  return found ? std::optional(found->value) : std::nullopt;
}

std::optional<Score> find_score(const v1::ArmResult& arm, std::string_view metric) {
  if (metric.empty()) {
    throw Error(grpc::StatusCode::INVALID_ARGUMENT, "metric must not be empty", "NAME_INVALID",
                {{"field", "metric"}});
  }
  // Names and keys are never empty, so a dot at the start or the end is not tried.
  for (auto dot = metric.find('.', 1); dot < metric.size() - 1; dot = metric.find('.', dot + 1)) {
    const v1::EvalResult* row = eval(arm, metric.substr(0, dot));
    auto found = row != nullptr ? score_of(*row, std::string(metric.substr(dot + 1))) : std::nullopt;
    if (found) {
      return found;
    }
  }
  return bare_score(arm, std::string(metric));
}

const v1::EvalResult* primary_eval(const v1::ArmResult& arm) {
  std::set<std::pair<std::string_view, std::optional<std::int64_t>>> seen;
  const v1::EvalResult* best = nullptr;
  for (const v1::EvalResult& row : arm.evals()) {
    const auto step = row.has_step() ? std::optional(row.step()) : std::nullopt;
    const bool counts = seen.emplace(row.name(), step).second && !row.has_model_ref();
    if (counts && (best == nullptr || primary_class(row) < primary_class(*best))) {
      best = &row;
    }
  }
  return best;
}

const Metrics& effective_eval_metrics(const v1::ArmResult& arm) {
  const v1::EvalResult* row = arm.eval_metrics().empty() ? primary_eval(arm) : nullptr;
  return row != nullptr ? row->metrics() : arm.eval_metrics();
}

const google::protobuf::Map<std::string, v1::Value>& effective_eval_breakdowns(const v1::ArmResult& arm) {
  const v1::EvalResult* row = arm.eval_breakdowns().empty() ? primary_eval(arm) : nullptr;
  return row != nullptr ? row->breakdowns() : arm.eval_breakdowns();
}

std::optional<double> effective_eval_seconds(const v1::ArmResult& arm) {
  if (arm.has_eval_seconds()) {
    return arm.eval_seconds();
  }
  const v1::EvalResult* row = primary_eval(arm);
  return row != nullptr && row->has_eval_seconds() ? std::optional(row->eval_seconds()) : std::nullopt;
}

}  // namespace podium
