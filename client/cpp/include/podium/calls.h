/// Every rpc as it is, with this client's deadlines, retries and errors.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "podium/v1/recording_service.grpc.pb.h"
#include "podium/v1/results_service.grpc.pb.h"

namespace podium {

/// How long calls may take.
struct Timeouts {
  std::chrono::milliseconds reads = std::chrono::seconds(10);
  std::chrono::milliseconds writes = std::chrono::seconds(30);
};

/// Every rpc, requests and responses as the protos have them; each throws an Error where it fails.
///
/// A read is tried up to five times within its time while the server is UNAVAILABLE; a write is
/// sent once. Safe to use from any number of threads.
class Calls {
 public:
  Calls(const std::string& address, Timeouts timeouts);

  v1::EvalResponse eval(const v1::EvalRequest& request) const;
  v1::ScoreResponse score(const v1::ScoreRequest& request) const;
  v1::GetArmResponse get_arm(const v1::GetArmRequest& request) const;
  v1::ListArmsResponse list_arms(const v1::ListArmsRequest& request) const;
  v1::ListEvalsResponse list_evals(const v1::ListEvalsRequest& request) const;
  v1::GetExperimentResponse get_experiment(const v1::GetExperimentRequest& request) const;
  v1::ListExperimentsResponse list_experiments(const v1::ListExperimentsRequest& request) const;
  v1::RankResponse rank(const v1::RankRequest& request) const;
  v1::ScoresResponse scores(const v1::ScoresRequest& request) const;

  v1::RecordResponse record(const v1::RecordRequest& request) const;
  v1::DeleteArmResponse delete_arm(const v1::DeleteArmRequest& request) const;
  v1::DeleteExperimentResponse delete_experiment(const v1::DeleteExperimentRequest& request) const;

 private:
  Calls(const std::shared_ptr<grpc::Channel>& channel, Timeouts timeouts);

  std::unique_ptr<v1::ResultsService::StubInterface> results_;
  std::unique_ptr<v1::RecordingService::StubInterface> recording_;
  Timeouts timeouts_;
};

}  // namespace podium
