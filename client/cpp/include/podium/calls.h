/// Every rpc with its own messages, and this client's deadlines, retries and errors.
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
#include "podium/error.h"
#include "podium/security.h"
#include "podium/v1/access_service.grpc.pb.h"
#include "podium/v1/recording_service.grpc.pb.h"
#include "podium/v1/results_service.grpc.pb.h"

namespace podium {

/// The deadlines of calls, including their retries.
struct Timeouts {
  /// The time for a read.
  std::chrono::milliseconds reads = std::chrono::seconds(10);
  /// The time for a write.
  std::chrono::milliseconds writes = std::chrono::seconds(30);
};

/// Metadata of calls: keys in lower case, and their values.
using Metadata = std::multimap<std::string, std::string>;

/// The options of a client.
struct Options {
  /// The deadlines of calls.
  Timeouts timeouts = {};
  /// The files of an encrypted connection; by default those of the environment. Without a value, the connection
  /// is not encrypted. A socket ignores them.
  std::optional<Tls> tls = Tls::from_env();
  /// The token; by default that of the environment. It is sent only over an encrypted connection, to a socket,
  /// or to a port of this machine.
  Token token = Token::from_env();
  /// Credentials of your own, in place of `tls`.
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;
  /// Returns the metadata that a call sends. It is called before each attempt.
  std::function<Metadata()> metadata = nullptr;
};

/// Makes every rpc, with the requests and responses of the protos. Each throws an Error if it fails.
///
/// Until its deadline, a call is retried while no server answers, if it is a read or has a position. Any call is
/// retried if the server rejects it because it is overloaded or stops. Any number of threads can use one object.
class Calls {
 public:
  /// Throws std::invalid_argument unless the address is HOST:PORT, unix:PATH, or several HOST:PORT with commas.
  Calls(const std::string& address, Options options);

  /// Returns the same calls over the same connection, with other deadlines.
  [[nodiscard]] Calls with_timeouts(Timeouts timeouts) const;

  /// Returns the same calls over the same connection, which can be cancelled.
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

  /// Makes the call Record of podium.v1.RecordingService. With a position, it is retried while no server
  /// answers.
  v1::RecordResponse record(const v1::RecordRequest& request) const;
  /// Makes the call DeleteArm.
  v1::DeleteArmResponse delete_arm(const v1::DeleteArmRequest& request) const;
  /// Makes the call DeleteExperiment.
  v1::DeleteExperimentResponse delete_experiment(const v1::DeleteExperimentRequest& request) const;

  /// Makes the call WhoAmI of podium.v1.AccessService.
  [[nodiscard]] v1::WhoAmIResponse who_am_i(const v1::WhoAmIRequest& request) const;
  /// Makes the call ListTokens.
  [[nodiscard]] v1::ListTokensResponse list_tokens(const v1::ListTokensRequest& request) const;
  /// Makes the call CreateToken.
  [[nodiscard]] v1::CreateTokenResponse create_token(const v1::CreateTokenRequest& request) const;
  /// Makes the call RevokeToken.
  v1::RevokeTokenResponse revoke_token(const v1::RevokeTokenRequest& request) const;

 private:
  friend class Watch;

  struct Stubs;
  class Servers;
  using Attempt = std::function<grpc::Status(grpc::ClientContext*, const Stubs&)>;
  /// The stubs of one service.
  template <class Stub>
  using Service = std::unique_ptr<Stub> Stubs::*;
  template <class Stub, class Request, class Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  template <class Stub, class Request, class Response>
  Response read(Service<Stub> service, Method<Stub, Request, Response> method, const Request& request) const;
  template <class Stub, class Request, class Response>
  Response write(Service<Stub> service, Method<Stub, Request, Response> method, const Request& request,
                 bool is_repeatable = false) const;
  void repeat(bool is_write, bool is_repeatable, const Attempt& attempt) const;
  grpc::Status make(std::chrono::nanoseconds left, const Attempt& attempt) const;

  /// Begins the call Watch. It has no deadline.
  std::unique_ptr<grpc::ClientReaderInterface<v1::WatchResponse>> watch(grpc::ClientContext& context,
                                                                        const v1::WatchRequest& request) const;
  /// Returns the error of a call whose status is not OK. If this client did not cancel it, a stopping server did.
  [[nodiscard]] Error error_of(const grpc::Status& status) const;
  /// Throws an error, with a text if gRPC raised it rather than the server.
  [[noreturn]] void fail(const Error& error, std::chrono::milliseconds timeout, bool maybe_stored) const;

  /// Adds the metadata of a call.
  void add_metadata(grpc::ClientContext& context) const;

  std::string address_;
  /// Returns whether a token would cross a network without encryption.
  bool is_exposed_;
  Options options_;
  Cancellation cancellation_;
  std::shared_ptr<Servers> servers_;
};

}  // namespace podium
