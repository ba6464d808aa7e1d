#include "podium/calls.h"

#include <utility>

#include "address.h"
#include "podium/error.h"

namespace podium {
namespace {

constexpr char kOutcomeUnknown[] = ": whether it was stored is unknown, and it is safe to send it again";

using Results = v1::ResultsService::StubInterface;
using Recording = v1::RecordingService::StubInterface;

/// Whether nobody knows what became of a call with this code.
bool is_unanswered(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::CANCELLED;
}

/// What gRPC does not say of an error that the server itself did not explain.
std::string explained(grpc::StatusCode code, const std::string& address, const std::string& message) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
      return "no Podium server answers at " + address +
             ": start one with `podium serve`, or give the right address (" + message + ")";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return address + " did not answer in time";
    case grpc::StatusCode::UNIMPLEMENTED:
      return address + " is no Podium server, or an older one without this call";
    default:
      return address + ": " + message;
  }
}

}  // namespace

Calls::Calls(const std::string& address, Options options) : address_(address), options_(std::move(options)) {
  const auto channel = channel_to(address, options_.credentials);
  results_ = v1::ResultsService::NewStub(channel);
  recording_ = v1::RecordingService::NewStub(channel);
}

Calls Calls::with_timeouts(Timeouts timeouts) const {
  Calls calls = *this;
  calls.options_.timeouts = timeouts;
  return calls;
}

void Calls::prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout) const {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  if (options_.prepare) {
    options_.prepare(context);
  }
}

void Calls::fail(const grpc::Status& status, bool is_write) const {
  const Error error = Error::from(status);
  if (!error.reason().empty()) {
    throw error;
  }
  // Where nobody here can cancel a call, a server that stops did.
  const bool is_stopping = error.code() == grpc::StatusCode::CANCELLED && !options_.prepare;
  const auto code = is_stopping ? grpc::StatusCode::UNAVAILABLE : error.code();
  const std::string text = explained(code, address_, error.message());
  throw Error(code, is_write && is_unanswered(code) ? text + kOutcomeUnknown : text);
}

template <class Request, class Response>
Response Calls::read(Method<Results, Request, Response> method, const Request& request) const {
  grpc::ClientContext context;
  prepare(context, options_.timeouts.reads);
  Response response;
  const grpc::Status status = (*results_.*method)(&context, request, &response);
  if (!status.ok()) {
    fail(status, false);
  }
  return response;
}

template <class Request, class Response>
Response Calls::write(Method<Recording, Request, Response> method, const Request& request) const {
  grpc::ClientContext context;
  prepare(context, options_.timeouts.writes);
  Response response;
  const grpc::Status status = (*recording_.*method)(&context, request, &response);
  if (!status.ok()) {
    fail(status, true);
  }
  return response;
}

v1::EvalResponse Calls::eval(const v1::EvalRequest& request) const {
  return read(&Results::Eval, request);
}

v1::ScoreResponse Calls::score(const v1::ScoreRequest& request) const {
  return read(&Results::Score, request);
}

v1::GetArmResponse Calls::get_arm(const v1::GetArmRequest& request) const {
  return read(&Results::GetArm, request);
}

v1::ListArmsResponse Calls::list_arms(const v1::ListArmsRequest& request) const {
  return read(&Results::ListArms, request);
}

v1::ListEvalsResponse Calls::list_evals(const v1::ListEvalsRequest& request) const {
  return read(&Results::ListEvals, request);
}

v1::GetExperimentResponse Calls::get_experiment(const v1::GetExperimentRequest& request) const {
  return read(&Results::GetExperiment, request);
}

v1::ListExperimentsResponse Calls::list_experiments(const v1::ListExperimentsRequest& request) const {
  return read(&Results::ListExperiments, request);
}

v1::RankResponse Calls::rank(const v1::RankRequest& request) const {
  return read(&Results::Rank, request);
}

v1::ScoresResponse Calls::scores(const v1::ScoresRequest& request) const {
  return read(&Results::Scores, request);
}

v1::RecordResponse Calls::record(const v1::RecordRequest& request) const {
  return write(&Recording::Record, request);
}

v1::DeleteArmResponse Calls::delete_arm(const v1::DeleteArmRequest& request) const {
  return write(&Recording::DeleteArm, request);
}

v1::DeleteExperimentResponse Calls::delete_experiment(const v1::DeleteExperimentRequest& request) const {
  return write(&Recording::DeleteExperiment, request);
}

}  // namespace podium
