#include "podium/calls.h"

#include "address.h"
#include "podium/error.h"

namespace podium {
namespace {

constexpr char kOutcomeUnknown[] = ": whether it was stored is unknown, and it is safe to send it again";

template <class Stub, class Request, class Response>
using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

template <class Stub, class Request, class Response>
grpc::Status call(Stub& stub, Method<Stub, Request, Response> method, const Request& request, Response& response,
                  std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  return (stub.*method)(&context, request, &response);
}

template <class Stub, class Request, class Response>
Response read(Stub& stub, Method<Stub, Request, Response> method, const Request& request, const Timeouts& timeouts) {
  Response response;
  const grpc::Status status = call(stub, method, request, response, timeouts.reads);
  if (!status.ok()) {
    throw Error::from(status);
  }
  return response;
}

/// The error of a write: where no answer came, it says that the outcome is unknown.
Error write_error(const grpc::Status& status) {
  Error error = Error::from(status);
  const bool unanswered = error.code() == grpc::UNAVAILABLE || error.code() == grpc::DEADLINE_EXCEEDED;
  if (unanswered && error.reason().empty()) {
    return {error.code(), error.message() + kOutcomeUnknown};
  }
  return error;
}

template <class Stub, class Request, class Response>
Response write(Stub& stub, Method<Stub, Request, Response> method, const Request& request, const Timeouts& timeouts) {
  Response response;
  const grpc::Status status = call(stub, method, request, response, timeouts.writes);
  if (!status.ok()) {
    throw write_error(status);
  }
  return response;
}

using Results = v1::ResultsService::StubInterface;
using Recording = v1::RecordingService::StubInterface;

}  // namespace

Calls::Calls(const std::string& address, Timeouts timeouts) : Calls(channel_to(address), timeouts) {}

Calls::Calls(const std::shared_ptr<grpc::Channel>& channel, Timeouts timeouts)
    : results_(v1::ResultsService::NewStub(channel)),
      recording_(v1::RecordingService::NewStub(channel)),
      timeouts_(timeouts) {}

v1::EvalResponse Calls::eval(const v1::EvalRequest& request) const {
  return read(*results_, &Results::Eval, request, timeouts_);
}

v1::ScoreResponse Calls::score(const v1::ScoreRequest& request) const {
  return read(*results_, &Results::Score, request, timeouts_);
}

v1::GetArmResponse Calls::get_arm(const v1::GetArmRequest& request) const {
  return read(*results_, &Results::GetArm, request, timeouts_);
}

v1::ListArmsResponse Calls::list_arms(const v1::ListArmsRequest& request) const {
  return read(*results_, &Results::ListArms, request, timeouts_);
}

v1::ListEvalsResponse Calls::list_evals(const v1::ListEvalsRequest& request) const {
  return read(*results_, &Results::ListEvals, request, timeouts_);
}

v1::GetExperimentResponse Calls::get_experiment(const v1::GetExperimentRequest& request) const {
  return read(*results_, &Results::GetExperiment, request, timeouts_);
}

v1::ListExperimentsResponse Calls::list_experiments(const v1::ListExperimentsRequest& request) const {
  return read(*results_, &Results::ListExperiments, request, timeouts_);
}

v1::RankResponse Calls::rank(const v1::RankRequest& request) const {
  return read(*results_, &Results::Rank, request, timeouts_);
}

v1::ScoresResponse Calls::scores(const v1::ScoresRequest& request) const {
  return read(*results_, &Results::Scores, request, timeouts_);
}

v1::RecordResponse Calls::record(const v1::RecordRequest& request) const {
  return write(*recording_, &Recording::Record, request, timeouts_);
}

v1::DeleteArmResponse Calls::delete_arm(const v1::DeleteArmRequest& request) const {
  return write(*recording_, &Recording::DeleteArm, request, timeouts_);
}

v1::DeleteExperimentResponse Calls::delete_experiment(const v1::DeleteExperimentRequest& request) const {
  return write(*recording_, &Recording::DeleteExperiment, request, timeouts_);
}

}  // namespace podium
