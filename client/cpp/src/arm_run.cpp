#include "podium/arm_run.h"

#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <random>
#include <utility>

#include "podium/error.h"
#include "podium/event.h"

namespace podium {
namespace {

/// Returns 32 random hexadecimal digits.
std::string random_id() {
  std::random_device random;
  std::string id;
  for (int part = 0; part < 4; ++part) {
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", random());
    id += digits;
  }
  return id;
}

v1::StreamPosition first_position() {
  v1::StreamPosition position;
  position.set_writer_id(random_id());
  position.set_first_sequence(1);
  return position;
}

std::int64_t now_in_milliseconds() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
}

}  // namespace

struct ArmRun::Stream {
  std::mutex mutex;
  v1::StreamPosition next = first_position();
  bool is_finished = false;
};

ArmRun::ArmRun(std::shared_ptr<const Calls> calls, std::string experiment, const v1::ArmStarted& started)
    : calls_(std::move(calls)),
      arm_(calls_, std::move(experiment), started.arm()),
      attempt_id_(started.attempt().id()),
      stream_(std::make_shared<Stream>()) {
  record(*calls_, event(started));
}

v1::RecordResponse ArmRun::log(const std::map<std::string, double>& metrics,
                               std::optional<std::int64_t> step) const {
  v1::MetricsRecorded recorded;
  recorded.set_arm(arm_.name());
  recorded.set_attempt_id(attempt_id_);
  recorded.mutable_metrics()->insert(metrics.begin(), metrics.end());
  if (step) {
    recorded.set_step(*step);
  }
  return record(*calls_, event(std::move(recorded)));
}

v1::RecordResponse ArmRun::log_eval(const v1::EvalResult& row) const {
  v1::EvalRecorded recorded;
  recorded.set_arm(arm_.name());
  recorded.set_attempt_id(attempt_id_);
  *recorded.mutable_eval_result() = row;
  return record(*calls_, event(std::move(recorded)));
}

v1::RecordResponse ArmRun::finish(v1::ArmStatus status) const {
  v1::ArmFinished end;
  end.set_status(status);
  return finish(std::move(end));
}

v1::RecordResponse ArmRun::finish(v1::ArmFinished end) const {
  end.set_arm(arm_.name());
  end.set_attempt_id(attempt_id_);
  return record(*calls_, event(std::move(end)));
}

v1::RecordResponse ArmRun::record(const Calls& calls, v1::Event event) const {
  const std::lock_guard lock(stream_->mutex);
  v1::RecordRequest request;
  request.set_experiment(arm_.experiment());
  // A call that fails ends the stream: it is not known whether its event is part of it.
  *request.mutable_position() = std::exchange(stream_->next, first_position());
  *request.add_events() = std::move(event);
  v1::RecordResponse response = calls.record(request);
  stream_->next = std::move(*request.mutable_position());
  stream_->next.set_first_sequence(stream_->next.first_sequence() + 1);
  stream_->is_finished |= request.events(0).has_arm_finished();
  return response;
}

void ArmRun::end(v1::ArmStatus status, const std::string& error) const {
  {
    const std::lock_guard lock(stream_->mutex);
    if (stream_->is_finished) {
      return;
    }
  }
  v1::ArmFinished end;
  end.set_arm(arm_.name());
  end.set_attempt_id(attempt_id_);
  end.set_status(status);
  if (!error.empty()) {
    end.set_error(error);
  }
  record(calls_->with_cancellation({}), event(std::move(end)));
}

ArmRun Experiment::start_arm(const v1::RunConfig& run_config, v1::ArmStarted options) const {
  if (options.arm().empty()) {
    options.set_arm(run_config.name());
  }
  *options.mutable_run_config() = run_config;
  v1::Attempt& attempt = *options.mutable_attempt();
  if (attempt.id().empty()) {
    attempt.set_id(random_id());
  }
  if (!attempt.has_order()) {
    attempt.set_order(now_in_milliseconds());
  }
  return {calls_, name_, options};
}

void Experiment::run_arm(const v1::RunConfig& run_config, v1::ArmStarted options,
                         const std::function<void(const ArmRun&)>& block) const {
  const ArmRun run = start_arm(run_config, std::move(options));
  const auto end = [&run](v1::ArmStatus status, const std::string& text) noexcept {
    try {
      run.end(status, text);
    } catch (const Error&) {
      // The error of the block is thrown, and matters more.
    }
  };
  try {
    block(run);
  } catch (const Error& error) {
    const bool is_cancelled = error.code() == grpc::StatusCode::CANCELLED;
    end(is_cancelled ? v1::ARM_STATUS_CANCELLED : v1::ARM_STATUS_FAILED, error.what());
    throw;
  } catch (const std::exception& error) {
    end(v1::ARM_STATUS_FAILED, error.what());
    throw;
  } catch (...) {
    end(v1::ARM_STATUS_FAILED, "the training threw what is not a std::exception");
    throw;
  }
  run.end(v1::ARM_STATUS_COMPLETED);
}

}  // namespace podium
