// rank*.json: what Rank answers, and what an experiment amounts to.
#include "cases.h"

namespace conformance {
namespace {

namespace v1 = podium::v1;

void record(const podium::Experiment& experiment, const Json& vector) {
  std::vector<v1::Event> events = {podium::event(parsed<v1::ExperimentDeclared>(vector.at("experiment")))};
  for (const Json& arm : vector.list("arms")) {
    v1::ArmRecorded recorded;
    parse(arm, *recorded.mutable_arm_result());
    events.push_back(podium::event(std::move(recorded)));
  }
  experiment.record(events);
}

Verdict ask(const podium::Experiment& experiment, const Json& question) {
  const Json* error = question.find("error");
  try {
    const v1::RankResponse found = experiment.rank(parsed<v1::RankRequest>(question.at("request")));
    return error != nullptr ? "no error: " + found.ShortDebugString()
                            : check(question.at("response"), found, "ranking");
  } catch (const podium::Error& failed) {
    const bool expected = error != nullptr && failed.code_name() == error->at("code").text &&
                          failed.reason() == error->at("reason").text;
    return expected ? std::nullopt : Verdict(failed.what());
  }
}

}  // namespace

Verdict rank(const podium::Experiment& experiment, const Json& vector) {
  record(experiment, vector);
  for (const Json& question : vector.list("ranks")) {
    if (auto wrong = ask(experiment, question)) {
      return question.at("request").raw + ": " + *wrong;
    }
  }
  const Json* conclusion = vector.find("conclusion");
  const std::string status = v1::ExperimentStatus_Name(experiment.get().status());
  const bool agrees = conclusion == nullptr || conclusion->at("status").text == status;
  return agrees ? std::nullopt : Verdict("the experiment is " + status);
}

}  // namespace conformance
