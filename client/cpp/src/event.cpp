#include "podium/event.h"

#include <google/protobuf/util/time_util.h>

#include <chrono>
#include <utility>

namespace podium {
namespace {

/// Returns an event with the current time and a body in the given field.
template <class Told>
v1::Event now(Told* (v1::Event::*field)(), Told told) {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count();
  v1::Event event;
  *event.mutable_event_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(nanoseconds);
  *(event.*field)() = std::move(told);
  return event;
}

}  // namespace

v1::Event event(v1::ExperimentDeclared declared) {
  return now(&v1::Event::mutable_experiment_declared, std::move(declared));
}

v1::Event event(v1::ArmStarted started) {
  return now(&v1::Event::mutable_arm_started, std::move(started));
}

v1::Event event(v1::MetricsRecorded recorded) {
  return now(&v1::Event::mutable_metrics_recorded, std::move(recorded));
}

v1::Event event(v1::EvalRecorded recorded) {
  return now(&v1::Event::mutable_eval_recorded, std::move(recorded));
}

v1::Event event(v1::ArmFinished finished) {
  return now(&v1::Event::mutable_arm_finished, std::move(finished));
}

v1::Event event(v1::ArmRecorded recorded) {
  return now(&v1::Event::mutable_arm_recorded, std::move(recorded));
}

v1::Event event(v1::ExperimentConcluded concluded) {
  return now(&v1::Event::mutable_experiment_concluded, std::move(concluded));
}

v1::Event event(v1::Skipped skipped) {
  return now(&v1::Event::mutable_skipped, std::move(skipped));
}

}  // namespace podium
