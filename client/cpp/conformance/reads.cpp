// reads*.json: what Eval and Score answer.
#include <functional>
#include <set>
#include <stdexcept>
#include <tuple>

#include "cases.h"

namespace conformance {
namespace {

using podium::v1::ArmResult;
using podium::v1::EvalResult;
using podium::v1::ScoreResponse;
using Step = std::optional<std::int64_t>;

/// One way of asking an arm.
struct Way {
  std::function<std::optional<EvalResult>(const std::string&, Step)> eval;
  std::function<std::optional<double>(const std::string&)> score;
  std::function<std::optional<podium::Score>(const std::string&)> find_score;
};

Verdict ask_eval(const Way& way, const ArmResult& arm, const Json& question) {
  const Json* step = question.find("step");
  auto found = way.eval(question.at("name").text, step != nullptr ? Step(std::stoll(step->text)) : std::nullopt);
  const Json& row = question.at("row");
  if (row.kind == Json::Kind::null || !found) {
    return found.has_value() == (row.kind != Json::Kind::null) ? std::nullopt : Verdict("a row too many or too few");
  }
  clear_output_only(*found);
  return equal(*found, arm.evals(std::stoi(row.raw)));
}

ScoreResponse whole(const std::optional<podium::Score>& score) {
  ScoreResponse response;
  if (score) {
    response.set_value(score->value);
    *response.mutable_source() = score->source;
  }
  return response;
}

/// The same answer without its source.
ScoreResponse number(const std::optional<double>& score) {
  ScoreResponse response;
  if (score) {
    response.set_value(*score);
  }
  return response;
}

Verdict ask_score(const Way& way, const Json& question) {
  const std::string metric = question.at("metric").text;
  const Json* expected_error = question.find("error");
  try {
    ScoreResponse found = whole(way.find_score(metric));
    if (expected_error != nullptr) {
      return "no error: " + found.ShortDebugString();
    }
    if (auto wrong = equal(found, parsed<ScoreResponse>(question.at("answer")))) {
      return wrong;
    }
    found.clear_source();
    return equal(number(way.score(metric)), found);
  } catch (const podium::Error& error) {
    const bool expected = expected_error != nullptr && expected_error->text == error.code_name();
    return expected ? std::nullopt : Verdict(error.what());
  }
}

Verdict ask(const Way& way, const ArmResult& arm, const Json& vector) {
  for (const Json& question : vector.list("evals")) {
    if (auto wrong = ask_eval(way, arm, question)) {
      return question.raw + ": " + *wrong;
    }
  }
  for (const Json& question : vector.list("scores")) {
    if (auto wrong = ask_score(way, question)) {
      return question.raw + ": " + *wrong;
    }
  }
  return std::nullopt;
}

Verdict check_reads(const Json& vector, const ArmResult& found) {
  const Json* reads = vector.find("reads");
  return reads != nullptr ? check(*reads, found, "arm") : std::nullopt;
}

/// The rows come back as they were, without those that repeat an identity.
Verdict check_rows(const ArmResult& given, ArmResult found) {
  ArmResult expected;
  std::set<std::tuple<std::string, bool, std::int64_t>> seen;
  for (const EvalResult& row : given.evals()) {
    if (seen.emplace(row.name(), row.has_step(), row.step()).second) {
      *expected.add_evals() = row;
    }
  }
  clear_output_only(found);
  ArmResult rows;
  rows.mutable_evals()->Swap(found.mutable_evals());
  return equal(rows, expected);
}

Verdict check_refused(const podium::Experiment& experiment, const ArmResult& arm, const std::string& reason) {
  try {
    experiment.record_arm(arm);
  } catch (const podium::Error& error) {
    return error.reason() == reason ? std::nullopt : Verdict(error.what());
  }
  return "not refused";
}

}  // namespace

Verdict read_over_the_wire(const podium::Experiment& experiment, const Json& vector) {
  const auto arm = parsed<ArmResult>(vector.at("arm"));
  experiment.declare();
  if (const Json* reason = vector.find("refused")) {
    return check_refused(experiment, arm, reason->text);
  }
  experiment.record_arm(arm);
  const podium::Arm handle = experiment.arm(arm.name());
  const Way way{[&](const std::string& name, Step step) { return handle.eval(name, step); },
                [&](const std::string& metric) { return handle.score(metric); },
                [&](const std::string& metric) { return handle.find_score(metric); }};
  if (auto wrong = ask(way, arm, vector)) {
    return wrong;
  }
  const ArmResult found = handle.get();
  const auto wrong = check_reads(vector, found);
  return wrong ? wrong : check_rows(arm, found);
}

Verdict read_purely(const Json& vector) {
  const auto arm = parsed<ArmResult>(vector.at("arm"));
  const Way way{[&](const std::string& name, Step step) {
                  const EvalResult* row = podium::eval(arm, name, step);
                  return row != nullptr ? std::optional(*row) : std::nullopt;
                },
                [&](const std::string& metric) { return podium::score(arm, metric); },
                [&](const std::string& metric) { return podium::find_score(arm, metric); }};
  if (auto wrong = ask(way, arm, vector)) {
    return wrong;
  }
  ArmResult reads;
  *reads.mutable_eval_metrics() = podium::effective_eval_metrics(arm);
  *reads.mutable_eval_breakdowns() = podium::effective_eval_breakdowns(arm);
  if (const auto seconds = podium::effective_eval_seconds(arm)) {
    reads.set_eval_seconds(*seconds);
  }
  return check_reads(vector, reads);
}

}  // namespace conformance
