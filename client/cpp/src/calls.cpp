#include "podium/calls.h"

#include <utility>

#include "address.h"
#include "cancellation_state.h"
#include "podium/error.h"
#include "retries.h"
#include "security.h"

namespace podium {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr char kOutcomeUnknown[] = ": whether it was stored is unknown, and it is safe to send it again";

using Results = v1::ResultsService::StubInterface;
using Recording = v1::RecordingService::StubInterface;
using Access = v1::AccessService::StubInterface;

/// Returns whether it is unknown if a call with this code was stored.
bool is_unanswered(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::CANCELLED;
}

/// Returns a text for an error that gRPC raised, rather than the server.
std::string explained(grpc::StatusCode code, const std::string& address, const std::string& message) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
      return "no Podium server answers at " + address +
             ": start one with `podium serve`, or give the right address (" + message + ")";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return address + " did not answer in time";
    case grpc::StatusCode::UNIMPLEMENTED:
      return address + " is not a Podium server, or an older one without this call";
    case grpc::StatusCode::CANCELLED:
      return "the call was cancelled";
    default:
      return address + ": " + message;
  }
}

}  // namespace

Calls::Calls(const std::string& address, Options options) : address_(address), options_(std::move(options)) {
  const bool is_socket = address.rfind("unix:", 0) == 0;
  if (options_.tls && !options_.credentials && !is_socket) {
    options_.credentials = credentials_of(*options_.tls);
  }
  is_exposed_ = !options_.credentials && !is_socket && !is_loopback(address);
  const auto channel = channel_to(address, options_.credentials);
  results_ = v1::ResultsService::NewStub(channel);
  recording_ = v1::RecordingService::NewStub(channel);
  access_ = v1::AccessService::NewStub(channel);
}

Calls Calls::with_timeouts(Timeouts timeouts) const {
  Calls calls = *this;
  calls.options_.timeouts = timeouts;
  return calls;
}

Calls Calls::with_cancellation(Cancellation cancellation) const {
  Calls calls = *this;
  calls.cancellation_ = std::move(cancellation);
  return calls;
}

Error Calls::error_of(const grpc::Status& status) const {
  const Error error = Error::from(status);
  const bool is_stopping = error.code() == grpc::StatusCode::CANCELLED && !cancellation_.is_cancelled();
  return is_stopping ? Error(grpc::StatusCode::UNAVAILABLE, error.message(), error.reason()) : error;
}

void Calls::fail(const Error& error, bool maybe_stored) const {
  if (!error.reason().empty()) {
    throw error;
  }
  const std::string text = explained(error.code(), address_, error.message());
  throw Error(error.code(), maybe_stored && is_unanswered(error.code()) ? text + kOutcomeUnknown : text);
}

void Calls::repeat(bool is_write, bool is_repeatable,
                   const std::function<grpc::Status(grpc::ClientContext*)>& attempt) const {
  const auto deadline = steady_clock::now() + (is_write ? options_.timeouts.writes : options_.timeouts.reads);
  for (int failures = 0;; ++failures) {
    const grpc::Status status = make(deadline - steady_clock::now(), attempt);
    if (status.ok()) {
      return;
    }
    const Error error = error_of(status);
    const nanoseconds pause = pause_after(failures, status);
    if (!is_retried(error, is_repeatable) || deadline - steady_clock::now() <= pause) {
      fail(error, is_write && !never_left(status));
    }
    cancellation_.state_->wait(pause);
    if (steady_clock::now() >= deadline) {
      fail(error, is_write);
    }
  }
}

grpc::Status Calls::make(nanoseconds left,
                         const std::function<grpc::Status(grpc::ClientContext*)>& attempt) const {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + left);
  add_metadata(context);
  const Cancellation::State::UnderWay under_way(*cancellation_.state_, context);
  return attempt(&context);
}

std::unique_ptr<grpc::ClientReaderInterface<v1::WatchResponse>> Calls::watch(
    grpc::ClientContext& context, const v1::WatchRequest& request) const {
  add_metadata(context);
  return results_->Watch(&context, request);
}

void Calls::add_metadata(grpc::ClientContext& context) const {
  Metadata metadata = options_.metadata ? options_.metadata() : Metadata{};
  const std::string token = header_of(options_.token);
  if (!token.empty()) {
    metadata.emplace("authorization", token);
  }
  if (is_exposed_ && metadata.count("authorization") != 0) {
    throw Error(grpc::StatusCode::UNAUTHENTICATED, "the token is not sent to " + address_ +
                                                       " without encryption: set PODIUM_TLS_CA, or give Options::tls");
  }
  for (const auto& [key, value] : metadata) {
    context.AddMetadata(key, value);
  }
}

template <class Stub, class Request, class Response>
Response Calls::read(Stub& stub, Method<Stub, Request, Response> method, const Request& request) const {
  Response response;
  repeat(false, true, [&](auto* context) { return (stub.*method)(context, request, &response); });
  return response;
}

template <class Stub, class Request, class Response>
Response Calls::write(Stub& stub, Method<Stub, Request, Response> method, const Request& request,
                      bool is_repeatable) const {
  Response response;
  repeat(true, is_repeatable, [&](auto* context) { return (stub.*method)(context, request, &response); });
  return response;
}

v1::EvalResponse Calls::eval(const v1::EvalRequest& request) const {
  return read(*results_, &Results::Eval, request);
}

v1::ScoreResponse Calls::score(const v1::ScoreRequest& request) const {
  return read(*results_, &Results::Score, request);
}

v1::GetArmResponse Calls::get_arm(const v1::GetArmRequest& request) const {
  return read(*results_, &Results::GetArm, request);
}

v1::ListMetricsResponse Calls::list_metrics(const v1::ListMetricsRequest& request) const {
  return read(*results_, &Results::ListMetrics, request);
}

v1::ListSeriesResponse Calls::list_series(const v1::ListSeriesRequest& request) const {
  return read(*results_, &Results::ListSeries, request);
}

v1::GetServerResponse Calls::get_server(const v1::GetServerRequest& request) const {
  return read(*results_, &Results::GetServer, request);
}

v1::ListArmsResponse Calls::list_arms(const v1::ListArmsRequest& request) const {
  return read(*results_, &Results::ListArms, request);
}

v1::ListEvalsResponse Calls::list_evals(const v1::ListEvalsRequest& request) const {
  return read(*results_, &Results::ListEvals, request);
}

v1::GetExperimentResponse Calls::get_experiment(const v1::GetExperimentRequest& request) const {
  return read(*results_, &Results::GetExperiment, request);
}

v1::ListExperimentsResponse Calls::list_experiments(const v1::ListExperimentsRequest& request) const {
  return read(*results_, &Results::ListExperiments, request);
}

v1::RankResponse Calls::rank(const v1::RankRequest& request) const {
  return read(*results_, &Results::Rank, request);
}

v1::ScoresResponse Calls::scores(const v1::ScoresRequest& request) const {
  return read(*results_, &Results::Scores, request);
}

v1::RecordResponse Calls::record(const v1::RecordRequest& request) const {
  return write(*recording_, &Recording::Record, request, request.has_position());
}

v1::DeleteArmResponse Calls::delete_arm(const v1::DeleteArmRequest& request) const {
  return write(*recording_, &Recording::DeleteArm, request);
}

v1::DeleteExperimentResponse Calls::delete_experiment(const v1::DeleteExperimentRequest& request) const {
  return write(*recording_, &Recording::DeleteExperiment, request);
}

v1::WhoAmIResponse Calls::who_am_i(const v1::WhoAmIRequest& request) const {
  return read(*access_, &Access::WhoAmI, request);
}

v1::ListTokensResponse Calls::list_tokens(const v1::ListTokensRequest& request) const {
  return read(*access_, &Access::ListTokens, request);
}

v1::CreateTokenResponse Calls::create_token(const v1::CreateTokenRequest& request) const {
  return write(*access_, &Access::CreateToken, request);
}

v1::RevokeTokenResponse Calls::revoke_token(const v1::RevokeTokenRequest& request) const {
  return write(*access_, &Access::RevokeToken, request);
}

}  // namespace podium
