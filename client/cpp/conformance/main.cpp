// Answers each request that it reads with what this client answers: see tests/conformance/README.md of
// the project.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>
#include <podium/podium.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "connect.h"

namespace {

namespace v1 = podium::v1;
using google::protobuf::Message;
using google::protobuf::Struct;
using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageToJsonString;

void parse(const std::string& json, Message& message) {
  const auto status = JsonStringToMessage(json, &message);
  if (!status.ok()) {
    throw std::invalid_argument(status.ToString() + " in " + json);
  }
}

std::string json(const Message& message) {
  std::string text;
  MessageToJsonString(message, &text);
  return text;
}

/// A text of a request.
const std::string& text(const Struct& asked, const std::string& name) {
  return asked.fields().at(name).string_value();
}

/// A message of a request: bytes in base64.
template <class M>
M message(const Struct& asked, const std::string& name) {
  google::protobuf::BytesValue bytes;
  parse('"' + text(asked, name) + '"', bytes);
  M read;
  if (!read.ParseFromString(bytes.value())) {
    throw std::invalid_argument("not a message: " + name);
  }
  return read;
}

template <class M>
M request(const Struct& asked) {
  return message<M>(asked, "request");
}

/// The bytes of a message in base64, as a text of JSON.
std::string base64(const Message& response) {
  google::protobuf::BytesValue bytes;
  bytes.set_value(response.SerializeAsString());
  return json(bytes);
}

std::string answer(const Message& response) { return R"({"response":)" + base64(response) + "}"; }

std::string answer(const podium::Error& error) {
  Struct said;
  auto& fields = *said.mutable_fields();
  fields["code"].set_string_value(error.code_name());
  fields["reason"].set_string_value(error.reason());
  fields["message"].set_string_value(error.message());
  auto& metadata = *fields["metadata"].mutable_struct_value()->mutable_fields();
  for (const auto& [key, value] : error.metadata()) {
    metadata[key].set_string_value(value);
  }
  auto& refusals = *fields["refusals"].mutable_list_value();
  for (const podium::RefusedEvent& event : error.refusals()) {
    auto& refusal = *refusals.add_values()->mutable_struct_value()->mutable_fields();
    refusal["index"].set_number_value(static_cast<double>(event.index));
    refusal["reason"].set_string_value(event.reason);
    refusal["permanent"].set_bool_value(event.permanent);
    refusal["message"].set_string_value(event.message);
  }
  return R"({"error":)" + json(said) + "}";
}

std::string row(const v1::EvalResult* found) {
  v1::EvalResponse response;
  if (found != nullptr) {
    *response.mutable_eval_result() = *found;
  }
  return answer(response);
}

std::string score(const std::optional<podium::Score>& found) {
  v1::ScoreResponse response;
  if (found) {
    response.set_value(found->value);
    *response.mutable_source() = found->source;
  }
  return answer(response);
}

std::optional<std::int64_t> step(const v1::EvalRequest& asked) {
  return asked.has_step() ? std::optional(asked.step()) : std::nullopt;
}

/// An arm as it reads, with the mirrors of its primary eval.
std::string whole(const v1::ArmResult& arm) {
  v1::GetArmResponse response;
  v1::ArmResult& read = *response.mutable_arm_result();
  read = arm;
  *read.mutable_eval_metrics() = podium::effective_eval_metrics(arm);
  *read.mutable_eval_breakdowns() = podium::effective_eval_breakdowns(arm);
  if (const auto seconds = podium::effective_eval_seconds(arm)) {
    read.set_eval_seconds(*seconds);
  }
  return answer(response);
}

std::string ask_arm(const Struct& asked) {
  const auto arm = message<v1::ArmResult>(asked, "arm");
  const std::string& call = text(asked, "call");
  if (call == "Eval") {
    const auto eval = request<v1::EvalRequest>(asked);
    return row(podium::eval(arm, eval.name(), step(eval)));
  }
  return call == "Score" ? score(podium::find_score(arm, request<v1::ScoreRequest>(asked).metric())) : whole(arm);
}

std::string ask_client(const podium::Client& client, const Struct& asked) {
  const std::string& call = text(asked, "call");
  if (call == "Eval") {
    const auto eval = request<v1::EvalRequest>(asked);
    const auto found = client.arm(eval.experiment(), eval.arm()).eval(eval.name(), step(eval));
    return row(found ? &*found : nullptr);
  }
  if (call == "Score") {
    const auto scored = request<v1::ScoreRequest>(asked);
    return score(client.arm(scored.experiment(), scored.arm()).find_score(scored.metric()));
  }
  if (call == "GetArm") {
    const auto got = request<v1::GetArmRequest>(asked);
    return whole(client.arm(got.experiment(), got.arm()).get());
  }
  if (call == "GetExperiment") {
    v1::GetExperimentResponse response;
    *response.mutable_experiment() =
        client.experiment(request<v1::GetExperimentRequest>(asked).experiment()).get();
    return answer(response);
  }
  if (call == "Rank") {
    const auto ranked = request<v1::RankRequest>(asked);
    return answer(client.experiment(ranked.experiment()).rank(ranked));
  }
  if (call == "Scores") {
    const auto scored = request<v1::ScoresRequest>(asked);
    return answer(client.experiment(scored.experiment()).scores(scored));
  }
  const auto recorded = request<v1::RecordRequest>(asked);
  return answer(client.experiment(recorded.experiment())
                    .record({recorded.events().begin(), recorded.events().end()}));
}

/// Records an event by the handle of its arm's newest attempt.
std::string record_attempt(const podium::Client& client, const Struct& asked) {
  // Never destroyed: attempts that are still running would be ended when the program ends.
  static auto& attempts = *new std::map<std::pair<std::string, std::string>, podium::ArmRun>;
  const auto recorded = request<v1::RecordRequest>(asked);
  const v1::Event& event = recorded.events(0);
  const auto run = [&](const std::string& arm) { return attempts.at({recorded.experiment(), arm}); };
  if (event.has_arm_started()) {
    const v1::ArmStarted& started = event.arm_started();
    const auto begun = client.experiment(recorded.experiment()).start_arm(started.run_config(), started);
    attempts.insert_or_assign({recorded.experiment(), begun.arm().name()}, begun);
  } else if (event.has_metrics_recorded()) {
    const v1::MetricsRecorded& metrics = event.metrics_recorded();
    const std::map<std::string, double> numbers(metrics.metrics().begin(), metrics.metrics().end());
    run(metrics.arm()).log(numbers, metrics.has_step() ? std::optional(metrics.step()) : std::nullopt);
  } else if (event.has_eval_recorded()) {
    run(event.eval_recorded().arm()).log_eval(event.eval_recorded().eval_result());
  } else {
    run(event.arm_finished().arm()).finish(event.arm_finished());
  }
  return answer(v1::RecordResponse());
}

using Stub = std::function<std::string(const podium::Calls&, const Struct&)>;

template <class Request, class Response>
Stub stub(Response (podium::Calls::*method)(const Request&) const) {
  return [method](const podium::Calls& calls, const Struct& asked) {
    return answer((calls.*method)(request<Request>(asked)));
  };
}

/// Makes a call of either service as it is.
std::string call_stub(const podium::Client& client, const Struct& asked) {
  using podium::Calls;
  static const std::map<std::string, Stub> stubs = {
      {"Eval", stub(&Calls::eval)},
      {"Score", stub(&Calls::score)},
      {"GetArm", stub(&Calls::get_arm)},
      {"ListArms", stub(&Calls::list_arms)},
      {"ListEvals", stub(&Calls::list_evals)},
      {"ListSeries", stub(&Calls::list_series)},
      {"GetExperiment", stub(&Calls::get_experiment)},
      {"ListExperiments", stub(&Calls::list_experiments)},
      {"Rank", stub(&Calls::rank)},
      {"Scores", stub(&Calls::scores)},
      {"Record", stub(&Calls::record)},
      {"DeleteArm", stub(&Calls::delete_arm)},
      {"DeleteExperiment", stub(&Calls::delete_experiment)},
  };
  return stubs.at(text(asked, "call"))(client.calls(), asked);
}

/// Answers with the updates of a watch, or as many as are asked for, and with the error that ends it.
std::string watched(const podium::Client& client, const Struct& asked) {
  const auto given = request<v1::WatchRequest>(asked);
  const auto take = static_cast<int>(asked.fields().at("take").number_value());
  podium::Watch watch = client.experiment(given.experiment()).watch(given);
  std::string responses;
  std::string failed;
  try {
    for (int count = 0; take == 0 || count < take; ++count) {
      const auto update = watch.next();
      if (!update) {
        break;
      }
      responses += (count == 0 ? "" : ",") + base64(*update);
    }
  } catch (const podium::Error& error) {
    failed = ',' + answer(error).substr(1, std::string::npos);
    failed.pop_back();
  }
  return R"({"responses":[)" + responses + "]" + failed + "}";
}

std::string respond(const Struct& asked) {
  static std::map<std::string, podium::Client> clients;
  const std::string& way = text(asked, "way");
  if (way == "pure") {
    return ask_arm(asked);
  }
  if (asked.fields().count("protocol") != 0) {
    google::protobuf::BytesValue sent;
    parse('"' + text(asked, "request") + '"', sent);
    const bool is_json = text(asked, "protocol") == "connect-json";
    return answer(*call_connect(text(asked, "address"), is_json, text(asked, "call"), sent.value()));
  }
  podium::Client client = clients.try_emplace(text(asked, "address"), text(asked, "address")).first->second;
  if (const auto found = asked.fields().find("timeout_ms"); found != asked.fields().end()) {
    const std::chrono::milliseconds timeout(static_cast<std::int64_t>(found->second.number_value()));
    client = client.with_timeouts({timeout, timeout});
  }
  if (text(asked, "call") == "Watch") {
    return watched(client, asked);
  }
  if (way == "attempt") {
    return record_attempt(client, asked);
  }
  return way == "client" ? ask_client(client, asked) : call_stub(client, asked);
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    Struct asked;
    parse(line, asked);
    try {
      std::cout << respond(asked) << std::endl;
    } catch (const podium::Error& error) {
      std::cout << answer(error) << std::endl;
    }
  }
}
