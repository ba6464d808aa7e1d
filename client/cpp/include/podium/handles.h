/// Experiments and arms to ask and to record. Handles make no call; they are cheap to copy.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "podium/calls.h"
#include "podium/listing.h"
#include "podium/scoring.h"

namespace podium {

class ArmRun;

/// An arm at a server, which may not exist yet. Where the experiment or the arm does not exist, a
/// call throws an Error with NOT_FOUND.
class Arm {
 public:
  /// Client::arm() makes handles.
  Arm(std::shared_ptr<const Calls> calls, std::string experiment, std::string name);

  /// The name of the arm's experiment.
  [[nodiscard]] const std::string& experiment() const noexcept { return experiment_; }
  /// The arm's name.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// The row that answers for a name, as podium::eval() says it.
  [[nodiscard]] std::optional<v1::EvalResult> eval(const std::string& name,
                                                   std::optional<std::int64_t> step = std::nullopt) const;

  /// The number that a metric has, as podium::score() says it.
  [[nodiscard]] std::optional<double> score(const std::string& metric) const;

  /// The number that a metric has, and where it came from.
  [[nodiscard]] std::optional<Score> find_score(const std::string& metric) const;

  /// The whole arm with its rows, in one state: ask it with podium::eval() and podium::score().
  ///
  /// Throws an Error with ABORTED if the arm is too busy to be read as a whole.
  [[nodiscard]] v1::ArmResult get() const;

  /// The rows that pass the filters of a request, in the order in which they were first accepted.
  [[nodiscard]] Listing<v1::EvalResult> evals(v1::ListEvalsRequest filter = {}) const;

  /// Records training metrics for a process that does not train the arm. The latest value of each key is
  /// kept. With a step, the values are also points of the training series.
  v1::RecordResponse log(const std::map<std::string, double>& metrics,
                         std::optional<std::int64_t> step = std::nullopt) const;

  /// Records an eval row; a row of the same name and step is replaced.
  v1::RecordResponse log_eval(const v1::EvalResult& row) const;

  /// Deletes the arm with its rows; the experiment's revision after the call.
  std::int64_t remove(bool allow_missing = false) const;

 private:
  std::optional<v1::ArmResult> get_in_one_state() const;

  std::shared_ptr<const Calls> calls_;
  std::string experiment_;
  std::string name_;
};

/// An experiment at a server, which may not exist yet. Where it does not, a read throws an Error
/// with NOT_FOUND.
class Experiment {
 public:
  /// Client::experiment() makes handles.
  Experiment(std::shared_ptr<const Calls> calls, std::string name);

  /// The experiment's name.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// A handle on one of its arms.
  [[nodiscard]] Arm arm(std::string name) const { return {calls_, name_, std::move(name)}; }

  /// The experiment.
  [[nodiscard]] v1::Experiment get() const;

  /// The arms that pass the filters of a request, in the order in which they were created.
  [[nodiscard]] Listing<v1::ArmSummary> arms(v1::ListArmsRequest filter = {}) const;

  /// The metrics on which arms have scores, with the number of arms of each.
  [[nodiscard]] Listing<v1::Metric> metrics() const;

  /// The ranking of the arms (or groups), the best first, in one state: all of it, or its first `top`.
  ///
  /// Throws an Error with FAILED_PRECONDITION if there is no metric, neither in the request nor in
  /// the experiment, and with ABORTED if the experiment is too busy.
  [[nodiscard]] v1::RankResponse rank(v1::RankRequest request = {}, std::optional<int> top = std::nullopt) const;

  /// The scores of the arms that pass the filters of a request: a column for each of its metrics, in the
  /// order of the arms' creation, with all pages in one. The revision is 0 if the experiment changed
  /// between the pages.
  [[nodiscard]] v1::ScoresResponse scores(v1::ScoresRequest request) const;

  /// Creates the experiment, or fills fields that are still unset.
  v1::RecordResponse declare(const v1::ExperimentDeclared& declared = {}) const;

  /// Starts an attempt at training an arm. The arm is running from then on.
  ///
  /// What `options` leave out has a default: the arm has the name of the configuration, and the attempt has a
  /// random id and the time in milliseconds as its order. With a resume_step, the attempt continues after it;
  /// with restart, it starts a completed arm from the beginning.
  ///
  /// Throws an Error with NOT_FOUND if the experiment was not declared, or with FAILED_PRECONDITION: there is
  /// a newer attempt (STALE_ATTEMPT), the arm has completed (ARM_FINISHED), or earlier attempts have another
  /// configuration (RUN_CONFIG_CHANGED).
  [[nodiscard]] ArmRun start_arm(const v1::RunConfig& run_config, v1::ArmStarted options = {}) const;

  /// Starts an attempt, as start_arm() does, and trains in a block.
  ///
  /// If the block returns, the arm is completed. If it throws, the arm is failed with the exception's text;
  /// if what it throws is an Error with CANCELLED, the arm is cancelled. The exception is thrown again. After
  /// ArmRun::finish(), the end of the block records nothing.
  void run_arm(const v1::RunConfig& run_config, v1::ArmStarted options,
               const std::function<void(const ArmRun&)>& block) const;

  /// Records a whole arm: the arm of that name becomes equal to it.
  v1::RecordResponse record_arm(const v1::ArmResult& arm) const;

  /// Records events, all of them or none: they apply in order, as if sent one by one. With a position
  /// they are applied exactly once; without one, the call is still safe to repeat.
  ///
  /// Throws an Error whose refusals() list every refused event.
  v1::RecordResponse record(const std::vector<v1::Event>& events,
                            const std::optional<v1::StreamPosition>& position = std::nullopt) const;

  /// Deletes the experiment with its arms; the revision after the call.
  std::int64_t remove(bool allow_missing = false) const;

 private:
  std::optional<v1::RankResponse> rank_in_one_state(v1::RankRequest request, int top) const;

  std::shared_ptr<const Calls> calls_;
  std::string name_;
};

}  // namespace podium
