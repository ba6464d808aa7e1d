#include "podium/calls.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "address.h"
#include "cancellation_state.h"
#include "podium/error.h"
#include "retries.h"
#include "security.h"
#include "servers.h"

namespace podium {
namespace {

using std::chrono::milliseconds;
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

std::string seconds(milliseconds time) {
  std::ostringstream text;
  text << static_cast<double>(time.count()) / 1'000;
  return text.str();
}

/// Returns a text for an error that gRPC raised, rather than the server.
std::string explained(grpc::StatusCode code, const std::string& address, const std::string& message,
                      milliseconds timeout) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
      if (!never_left(message)) {
        return "the connection to " + address + " was lost during the call (" + message + ")";
      }
      return "no Podium server answers at " + address +
             ": start one with `podium serve`, or give the right address (" + message + ")";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return address + " did not answer within " + seconds(timeout) + " s";
    case grpc::StatusCode::UNIMPLEMENTED:
      return address + " is not a Podium server, or an older one without this call";
    case grpc::StatusCode::CANCELLED:
      return "the call was cancelled";
    default:
      return address + ": " + message;
  }
}

}  // namespace

Calls::Calls(const std::string& address, Options options) : options_(std::move(options)) {
  const std::vector<std::string> addresses = addresses_of(address);
  for (const std::string& each : addresses) {
    address_ += (address_.empty() ? "" : ",") + each;
  }
  const bool is_socket = address_.rfind("unix:", 0) == 0;
  if (options_.tls && !options_.credentials && !is_socket) {
    options_.credentials = credentials_of(*options_.tls);
  }
  const bool is_near = is_socket || std::all_of(addresses.begin(), addresses.end(), is_loopback);
  is_exposed_ = !options_.credentials && !is_near;
  servers_ = std::make_shared<Servers>(addresses, options_.credentials);
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

void Calls::fail(const Error& error, milliseconds timeout, bool maybe_stored) const {
  if (!error.reason().empty()) {
    throw error;
  }
  const std::string text = explained(error.code(), address_, error.message(), timeout);
  throw Error(error.code(), maybe_stored && is_unanswered(error.code()) ? text + kOutcomeUnknown : text);
}

void Calls::repeat(bool is_write, bool is_repeatable, const Attempt& attempt) const {
  const milliseconds timeout = is_write ? options_.timeouts.writes : options_.timeouts.reads;
  const auto deadline = steady_clock::now() + timeout;
  int untried = servers_->others();
  for (int failures = 0;; ++failures) {
    const grpc::Status status = make(deadline - steady_clock::now(), attempt);
    if (status.ok()) {
      return;
    }
    const Error error = error_of(status);
    if (untried > 0 && (never_left(status.error_message()) || error.is(v1::ERROR_REASON_SHUTTING_DOWN))) {
      --untried;  // It is the turn of the next server. The call has not run.
      continue;
    }
    untried = servers_->others();
    const nanoseconds pause = pause_after(failures, status);
    if (!is_retried(error, is_repeatable) || deadline - steady_clock::now() <= pause) {
      fail(error, timeout, is_write && !never_left(status.error_message()));
    }
    cancellation_.state_->wait(pause);
    if (steady_clock::now() >= deadline) {
      fail(error, timeout, is_write);
    }
  }
}

grpc::Status Calls::make(nanoseconds left, const Attempt& attempt) const {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + left);
  add_metadata(context);
  const Cancellation::State::UnderWay under_way(*cancellation_.state_, context);
  return attempt(&context, servers_->next());
}

std::unique_ptr<grpc::ClientReaderInterface<v1::WatchResponse>> Calls::watch(
    grpc::ClientContext& context, const v1::WatchRequest& request) const {
  add_metadata(context);
  return servers_->next().results->Watch(&context, request);
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
Response Calls::read(Service<Stub> service, Method<Stub, Request, Response> method, const Request& request) const {
  Response response;
  repeat(false, true, [&](auto* context, const Stubs& stubs) {
    return ((*(stubs.*service)).*method)(context, request, &response);
  });
  return response;
}

template <class Stub, class Request, class Response>
Response Calls::write(Service<Stub> service, Method<Stub, Request, Response> method, const Request& request,
                      bool is_repeatable) const {
  Response response;
  repeat(true, is_repeatable, [&](auto* context, const Stubs& stubs) {
    return ((*(stubs.*service)).*method)(context, request, &response);
  });
  return response;
}

v1::EvalResponse Calls::eval(const v1::EvalRequest& request) const {
  return read(&Stubs::results, &Results::Eval, request);
}

v1::ScoreResponse Calls::score(const v1::ScoreRequest& request) const {
  return read(&Stubs::results, &Results::Score, request);
}

v1::GetArmResponse Calls::get_arm(const v1::GetArmRequest& request) const {
  return read(&Stubs::results, &Results::GetArm, request);
}

v1::ListMetricsResponse Calls::list_metrics(const v1::ListMetricsRequest& request) const {
  return read(&Stubs::results, &Results::ListMetrics, request);
}

v1::ListSeriesResponse Calls::list_series(const v1::ListSeriesRequest& request) const {
  return read(&Stubs::results, &Results::ListSeries, request);
}

v1::GetServerResponse Calls::get_server(const v1::GetServerRequest& request) const {
  return read(&Stubs::results, &Results::GetServer, request);
}

v1::ListArmsResponse Calls::list_arms(const v1::ListArmsRequest& request) const {
  return read(&Stubs::results, &Results::ListArms, request);
}

v1::ListEvalsResponse Calls::list_evals(const v1::ListEvalsRequest& request) const {
  return read(&Stubs::results, &Results::ListEvals, request);
}

v1::GetExperimentResponse Calls::get_experiment(const v1::GetExperimentRequest& request) const {
  return read(&Stubs::results, &Results::GetExperiment, request);
}

v1::ListExperimentsResponse Calls::list_experiments(const v1::ListExperimentsRequest& request) const {
  return read(&Stubs::results, &Results::ListExperiments, request);
}

v1::RankResponse Calls::rank(const v1::RankRequest& request) const {
  return read(&Stubs::results, &Results::Rank, request);
}

v1::ScoresResponse Calls::scores(const v1::ScoresRequest& request) const {
  return read(&Stubs::results, &Results::Scores, request);
}

v1::RecordResponse Calls::record(const v1::RecordRequest& request) const {
  return write(&Stubs::recording, &Recording::Record, request, request.has_position());
}

v1::DeleteArmResponse Calls::delete_arm(const v1::DeleteArmRequest& request) const {
  return write(&Stubs::recording, &Recording::DeleteArm, request);
}

v1::DeleteExperimentResponse Calls::delete_experiment(const v1::DeleteExperimentRequest& request) const {
  return write(&Stubs::recording, &Recording::DeleteExperiment, request);
}

v1::WhoAmIResponse Calls::who_am_i(const v1::WhoAmIRequest& request) const {
  return read(&Stubs::access, &Access::WhoAmI, request);
}

v1::ListTokensResponse Calls::list_tokens(const v1::ListTokensRequest& request) const {
  return read(&Stubs::access, &Access::ListTokens, request);
}

v1::CreateTokenResponse Calls::create_token(const v1::CreateTokenRequest& request) const {
  return write(&Stubs::access, &Access::CreateToken, request);
}

v1::RevokeTokenResponse Calls::revoke_token(const v1::RevokeTokenRequest& request) const {
  return write(&Stubs::access, &Access::RevokeToken, request);
}

}  // namespace podium
