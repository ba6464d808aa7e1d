// writes*.json: what Record and the deletions do.
#include <map>
#include <stdexcept>

#include "cases.h"

namespace conformance {
namespace {

namespace v1 = podium::v1;
using podium::Calls;
using Reasons = std::map<std::string, std::string>;

Verdict check_refusal(const Json& expected, const podium::Error& error);

/// Makes the call of a step and holds its answer against what the step expects.
template <class Request, class Response>
Verdict call(const Calls& calls, Response (Calls::*rpc)(const Request&) const, const std::string& experiment,
             const Json& step) {
  Request request;
  const Json* given = step.find("request");
  if (given != nullptr) {
    parse(*given, request);
  }
  if constexpr (!std::is_same_v<Request, v1::ListExperimentsRequest>) {
    if (given == nullptr || given->find("experiment") == nullptr) {
      request.set_experiment(experiment);
    }
  }
  const Json* refused = step.find("refused");
  try {
    const Response response = (calls.*rpc)(request);
    if (refused != nullptr) {
      return "not refused: " + response.ShortDebugString();
    }
    const Json* wanted = step.find("response");
    return wanted != nullptr ? check(*wanted, response, step.at("call").text) : std::nullopt;
  } catch (const podium::Error& error) {
    return refused != nullptr ? check_refusal(*refused, error) : Verdict(error.what());
  }
}

Verdict run(const Calls& calls, const std::string& experiment, const Json& step) {
  const std::string& name = step.at("call").text;
  if (name == "Eval") return call(calls, &Calls::eval, experiment, step);
  if (name == "Score") return call(calls, &Calls::score, experiment, step);
  if (name == "GetArm") return call(calls, &Calls::get_arm, experiment, step);
  if (name == "ListArms") return call(calls, &Calls::list_arms, experiment, step);
  if (name == "ListEvals") return call(calls, &Calls::list_evals, experiment, step);
  if (name == "GetExperiment") return call(calls, &Calls::get_experiment, experiment, step);
  if (name == "ListExperiments") return call(calls, &Calls::list_experiments, experiment, step);
  if (name == "Rank") return call(calls, &Calls::rank, experiment, step);
  if (name == "Scores") return call(calls, &Calls::scores, experiment, step);
  if (name == "Record") return call(calls, &Calls::record, experiment, step);
  if (name == "DeleteArm") return call(calls, &Calls::delete_arm, experiment, step);
  if (name == "DeleteExperiment") return call(calls, &Calls::delete_experiment, experiment, step);
  return "this runner does not know " + name;
}

/// The texts of an object's members.
Reasons texts(const Json* object) {
  Reasons texts;
  if (object != nullptr) {
    for (const auto& [key, value] : object->members) {
      texts[key] = value.text;
    }
  }
  return texts;
}

/// The reasons of the refused events of one kind, by the index of the event.
Reasons refused_events(const podium::Error& error, bool permanent) {
  Reasons reasons;
  for (const podium::RefusedEvent& event : error.refusals()) {
    if (event.permanent == permanent) {
      reasons[std::to_string(event.index)] = podium::reason_name(event.reason);
    }
  }
  return reasons;
}

Verdict check_refusal(const Json& expected, const podium::Error& error) {
  bool agrees = error.code_name() == expected.at("code").text && error.reason() == expected.at("reason").text &&
                refused_events(error, true) == texts(expected.find("permanent")) &&
                refused_events(error, false) == texts(expected.find("wait"));
  for (const auto& [key, value] : texts(expected.find("metadata"))) {
    const auto found = error.metadata().find(key);
    agrees = agrees && found != error.metadata().end() && found->second == value;
  }
  for (const Json& part : expected.list("text")) {
    agrees = agrees && error.message().find(part.text) != std::string::npos;
  }
  return agrees ? std::nullopt : Verdict(std::string(error.what()) + " instead of " + expected.raw);
}

}  // namespace

Verdict write(const Calls& calls, const std::string& experiment, const Json& vector) {
  int index = 0;
  for (const Json& step : vector.list("steps")) {
    if (auto wrong = run(calls, experiment, step)) {
      return "step " + std::to_string(index) + ": " + *wrong;
    }
    ++index;
  }
  return std::nullopt;
}

}  // namespace conformance
