/// Every rpc as it is, with this client's deadlines, retries and errors.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "podium/cancellation.h"
#include "podium/security.h"
#include "podium/v1/recording_service.grpc.pb.h"
#include "podium/v1/results_service.grpc.pb.h"

namespace podium {

/// How long calls may take, their attempts together.
struct Timeouts {
  /// Of calls that only ask.
  std::chrono::milliseconds reads = std::chrono::seconds(10);
  /// Of calls that change something.
  std::chrono::milliseconds writes = std::chrono::seconds(30);
};

/// What calls send beside their request: keys in small letters, and their values.
using Metadata = std::multimap<std::string, std::string>;

/// How a client speaks to its server.
struct Options {
  /// How long calls may take.
  Timeouts timeouts = {};
  /// The files of an encrypted connection; by default those of the environment. Nothing: the connection is not
  /// encrypted. A socket ignores them.
  std::optional<Tls> tls = Tls::from_env();
  /// The token; by default that of the environment. It is sent only over an encrypted connection, to a socket,
  /// or to a port of this machine.
  Token token = Token::from_env();
  /// Credentials of your own, in place of `tls`.
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;
  /// Returns the metadata that a call sends. It is called before each attempt.
  std::function<Metadata()> metadata = nullptr;
};

/// Every rpc, requests and responses as the protos have them; each throws an Error where it fails.
///
/// Within its time a call is repeated while the server is UNAVAILABLE, if it is a read or has a position. So is
/// any call that a server refuses since it is overloaded or stops. Safe to use from any number of threads.
class Calls {
 public:
  /// Throws std::invalid_argument unless the address is HOST:PORT or unix:PATH.
  Calls(const std::string& address, Options options);

  /// The same calls over the same connection, which may take so long.
  [[nodiscard]] Calls with_timeouts(Timeouts timeouts) const;

  /// The same calls over the same connection, which can be cancelled.
  [[nodiscard]] Calls with_cancellation(Cancellation cancellation) const;

  /// Makes the call Eval of podium.v1.ResultsService.
  [[nodiscard]] v1::EvalResponse eval(const v1::EvalRequest& request) const;
  /// Makes the call Score.
  [[nodiscard]] v1::ScoreResponse score(const v1::ScoreRequest& request) const;
  /// Makes the call GetArm.
  [[nodiscard]] v1::GetArmResponse get_arm(const v1::GetArmRequest& request) const;
  /// Makes the call ListMetrics.
  [[nodiscard]] v1::ListMetricsResponse list_metrics(const v1::ListMetricsRequest& request) const;
  /// Makes the call ListSeries.
  [[nodiscard]] v1::ListSeriesResponse list_series(const v1::ListSeriesRequest& request) const;
  /// Makes the call GetServer.
  [[nodiscard]] v1::GetServerResponse get_server(const v1::GetServerRequest& request) const;
  /// Makes the call ListArms.
  [[nodiscard]] v1::ListArmsResponse list_arms(const v1::ListArmsRequest& request) const;
  /// Makes the call ListEvals.
  [[nodiscard]] v1::ListEvalsResponse list_evals(const v1::ListEvalsRequest& request) const;
  /// Makes the call GetExperiment.
  [[nodiscard]] v1::GetExperimentResponse get_experiment(const v1::GetExperimentRequest& request) const;
  /// Makes the call ListExperiments.
  [[nodiscard]] v1::ListExperimentsResponse list_experiments(const v1::ListExperimentsRequest& request) const;
  /// Makes the call Rank.
  [[nodiscard]] v1::RankResponse rank(const v1::RankRequest& request) const;
  /// Makes the call Scores.
  [[nodiscard]] v1::ScoresResponse scores(const v1::ScoresRequest& request) const;

  /// Makes the call Record of podium.v1.RecordingService. With a position, it is repeated while no server
  /// answers.
  v1::RecordResponse record(const v1::RecordRequest& request) const;
  /// Makes the call DeleteArm.
  v1::DeleteArmResponse delete_arm(const v1::DeleteArmRequest& request) const;
  /// Makes the call DeleteExperiment.
  v1::DeleteExperimentResponse delete_experiment(const v1::DeleteExperimentRequest& request) const;

 private:
  template <class Stub, class Request, class Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  template <class Request, class Response>
  Response read(Method<v1::ResultsService::StubInterface, Request, Response> method, const Request& request) const;
  template <class Request, class Response>
  Response write(Method<v1::RecordingService::StubInterface, Request, Response> method, const Request& request,
                 bool is_repeatable = false) const;
  void repeat(bool is_write, bool is_repeatable,
              const std::function<grpc::Status(grpc::ClientContext*)>& attempt) const;
  grpc::Status make(std::chrono::nanoseconds left,
                    const std::function<grpc::Status(grpc::ClientContext*)>& attempt) const;

  /// Adds what a call sends beside its request.
  void add_metadata(grpc::ClientContext& context) const;

  std::string address_;
  /// Whether others could read a token on its way to the server.
  bool is_exposed_;
  Options options_;
  Cancellation cancellation_;
  std::shared_ptr<v1::ResultsService::StubInterface> results_;
  std::shared_ptr<v1::RecordingService::StubInterface> recording_;
};

}  // namespace podium
