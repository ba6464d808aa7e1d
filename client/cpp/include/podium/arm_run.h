/// Attempts at training an arm.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "podium/handles.h"

namespace podium {

/// An attempt at training an arm, which Experiment::start_arm() starts.
///
/// Each call returns after the server has stored its event. Until the deadline of writes, it is retried
/// while no server answers, and the event is stored exactly once. Copies are the same attempt. Any number of
/// threads may share one: it makes one call at a time. If there is a newer attempt, calls throw an Error with
/// STALE_ATTEMPT: end the training then.
///
/// If the last copy is destroyed without finish(), the arm is failed. The destructor waits for that call
/// until the deadline of writes, and ignores its errors.
class ArmRun {
 public:
  /// Returns a handle of the arm.
  [[nodiscard]] const Arm& arm() const noexcept { return arm_; }
  /// Returns the id of the attempt.
  [[nodiscard]] const std::string& attempt_id() const noexcept;

  /// Records training metrics. The latest value of each key is kept. With a step, the values are also points
  /// of the training series.
  v1::RecordResponse log(const std::map<std::string, double>& metrics,
                         std::optional<std::int64_t> step = std::nullopt) const;

  /// Records an eval row. It replaces a row with the same name and step.
  v1::RecordResponse log_eval(const v1::EvalResult& row) const;

  /// Records the end of the training. A later call replaces an earlier one.
  v1::RecordResponse finish(v1::ArmStatus status = v1::ARM_STATUS_COMPLETED) const;

  /// Records the end of the training, with more than its status. The arm and the attempt in it are ignored.
  v1::RecordResponse finish(v1::ArmFinished end) const;

 private:
  friend class Experiment;
  struct Stream;

  /// Records the start. The event must have a name and an attempt.
  ArmRun(std::shared_ptr<const Calls> calls, std::string experiment, const v1::ArmStarted& started);

  v1::RecordResponse record(v1::Event event) const;

  Arm arm_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace podium
