/// Handles of experiments and arms. Making or copying one makes no call.
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
class Watch;

/// A handle of an arm on a server. If the experiment or the arm does not exist, a call throws an
/// Error with NOT_FOUND.
class Arm {
 public:
  /// Client::arm() makes handles.
  Arm(std::shared_ptr<const Calls> calls, std::string experiment, std::string name);

  /// Returns the name of the arm's experiment.
  [[nodiscard]] const std::string& experiment() const noexcept { return experiment_; }
  /// Returns the name of the arm.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// Returns the row of an eval by the rules of podium::eval().
  [[nodiscard]] std::optional<v1::EvalResult> eval(const std::string& name,
                                                   std::optional<std::int64_t> step = std::nullopt) const;

  /// Returns the score on a metric by the rules of podium::score().
  [[nodiscard]] std::optional<double> score(const std::string& metric) const;

  /// Returns the score on a metric, and its source.
  [[nodiscard]] std::optional<Score> find_score(const std::string& metric) const;

  /// Returns the whole arm with its rows, as of one revision. podium::eval() and podium::score() read it.
  ///
  /// Throws an Error with ABORTED if the arm changed each time while it was read.
  [[nodiscard]] v1::ArmResult get() const;

  /// Lists the rows that match the filters of a request, in the order in which they were first accepted.
  [[nodiscard]] Listing<v1::EvalResult> evals(v1::ListEvalsRequest filter = {}) const;

  /// Records training metrics for a process that does not train the arm. The latest value of each key is
  /// kept. With a step, the values are also points of the training series.
  v1::RecordResponse log(const std::map<std::string, double>& metrics,
                         std::optional<std::int64_t> step = std::nullopt) const;

  /// Records an eval row. It replaces a row with the same name and step.
  v1::RecordResponse log_eval(const v1::EvalResult& row) const;

  /// Deletes the arm with its rows. Returns the revision of the experiment after that.
  std::int64_t remove(bool allow_missing = false) const;

 private:
  std::optional<v1::ArmResult> get_in_one_state() const;

  std::shared_ptr<const Calls> calls_;
  std::string experiment_;
  std::string name_;
};

/// A handle of an experiment on a server. If the experiment does not exist, a read throws an Error with
/// NOT_FOUND.
class Experiment {
 public:
  /// Client::experiment() makes handles.
  Experiment(std::shared_ptr<const Calls> calls, std::string name);

  /// Returns the name of the experiment.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// Returns a handle of one of its arms.
  [[nodiscard]] Arm arm(std::string name) const { return {calls_, name_, std::move(name)}; }

  /// Gets the experiment.
  [[nodiscard]] v1::Experiment get() const;

  /// Lists the arms that match the filters of a request, in the order in which they were created.
  [[nodiscard]] Listing<v1::ArmSummary> arms(v1::ListArmsRequest filter = {}) const;

  /// Lists the metrics on which arms have scores, with the number of arms of each.
  [[nodiscard]] Listing<v1::Metric> metrics() const;

  /// Ranks the arms or groups, the best first, as of one revision. Returns all of them, or the first `top`.
  ///
  /// Throws an Error with FAILED_PRECONDITION if there is no metric, neither in the request nor in
  /// the experiment, and with ABORTED if the ranking changed each time while it was read.
  [[nodiscard]] v1::RankResponse rank(v1::RankRequest request = {}, std::optional<int> top = std::nullopt) const;

  /// Gets the scores of the arms that match the filters of a request: a column for each metric, in the order in
  /// which the arms were created. All pages are joined. The revision is 0 if the experiment changed between the
  /// pages.
  [[nodiscard]] v1::ScoresResponse scores(v1::ScoresRequest request) const;

  /// Watches the experiment: its state, and then every change as it is committed. A request has filters, and the
  /// revision and the epoch of a marker to continue after. The first Watch::next() makes the call.
  [[nodiscard]] Watch watch(v1::WatchRequest request = {}) const;

  /// Creates the experiment, or sets its unset fields. A field with another value keeps it and is named in the
  /// response, unless `overwrite` is set. `clear_fields` names fields that lose their value.
  v1::RecordResponse declare(const v1::ExperimentDeclared& declared = {}) const;

  /// Starts an attempt at training an arm. From then on, the status of the arm is running.
  ///
  /// Options that are not set have defaults: the arm has the name of the configuration, and the attempt has a
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

  /// Records a whole arm: the stored arm becomes equal to it. With `replace`, it also replaces an arm that has
  /// attempts. An arm that is larger than one call allows is recorded in several calls: first the arm with its
  /// first rows, then the other rows. Recording it again is safe.
  v1::RecordResponse record_arm(const v1::ArmResult& arm, bool replace = false) const;

  /// Records events in order, all of them or none. With a position, each is applied exactly once. Without one,
  /// sending them again is safe, too.
  ///
  /// Throws an Error whose refusals() list every rejected event.
  v1::RecordResponse record(const std::vector<v1::Event>& events,
                            const std::optional<v1::StreamPosition>& position = std::nullopt) const;

  /// Deletes the experiment with its arms. Returns its last revision.
  std::int64_t remove(bool allow_missing = false) const;

 private:
  std::optional<v1::RankResponse> rank_in_one_state(v1::RankRequest request, int top) const;

  std::shared_ptr<const Calls> calls_;
  std::string name_;
};

}  // namespace podium
