#include "podium/event.h"

#include <google/protobuf/util/time_util.h>

#include <chrono>
#include <utility>

namespace podium {
namespace {

v1::Event now() {
  using std::chrono::duration_cast;
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto nanoseconds = duration_cast<std::chrono::nanoseconds>(since_1970).count();
  v1::Event event;
  *event.mutable_event_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(nanoseconds);
  return event;
}

}  // namespace

v1::Event event(v1::ExperimentDeclared declared) {
  v1::Event made = now();
  *made.mutable_experiment_declared() = std::move(declared);
  return made;
}

v1::Event event(v1::ArmStarted started) {
  v1::Event made = now();
  *made.mutable_arm_started() = std::move(started);
  return made;
}

v1::Event event(v1::MetricsRecorded recorded) {
  v1::Event made = now();
  *made.mutable_metrics_recorded() = std::move(recorded);
  return made;
}

v1::Event event(v1::EvalRecorded recorded) {
  v1::Event made = now();
  *made.mutable_eval_recorded() = std::move(recorded);
  return made;
}

v1::Event event(v1::ArmFinished finished) {
  v1::Event made = now();
  *made.mutable_arm_finished() = std::move(finished);
  return made;
}

v1::Event event(v1::ArmRecorded recorded) {
  v1::Event made = now();
  *made.mutable_arm_recorded() = std::move(recorded);
  return made;
}

v1::Event event(v1::ExperimentConcluded concluded) {
  v1::Event made = now();
  *made.mutable_experiment_concluded() = std::move(concluded);
  return made;
}

v1::Event event(v1::Skipped skipped) {
  v1::Event made = now();
  *made.mutable_skipped() = std::move(skipped);
  return made;
}

}  // namespace podium
