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
  Stream(std::shared_ptr<const Calls> given, std::string name, const v1::ArmStarted& started)
      : calls(std::move(given)), experiment(std::move(name)), arm(started.arm()), attempt_id(started.attempt().id()) {}

  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Records that the attempt failed if no end was recorded.
  ~Stream() {
    if (is_end_tried) {
      return;  // It may be stored, although the call failed.
    }
    try {
      end(v1::ARM_STATUS_FAILED, "the training ended without finish()");
    } catch (const std::exception&) {
      // A destructor cannot report the error. On the server, the arm stays running.
    }
  }

  v1::RecordResponse record(const Calls& over, v1::Event event);
  /// Records an end, unless one was recorded; also if the calls were cancelled.
  void end(v1::ArmStatus status, const std::string& error = "");

  std::shared_ptr<const Calls> calls;
  std::string experiment;
  std::string arm;
  std::string attempt_id;
  std::mutex mutex;
  v1::StreamPosition next = first_position();
  /// Whether the attempt was started, and has no end.
  bool is_running = false;
  bool is_end_tried = false;
};

ArmRun::ArmRun(std::shared_ptr<const Calls> calls, std::string experiment, const v1::ArmStarted& started)
    : arm_(calls, experiment, started.arm()),
      stream_(std::make_shared<Stream>(std::move(calls), std::move(experiment), started)) {
  record(event(started));
}

const std::string& ArmRun::attempt_id() const noexcept { return stream_->attempt_id; }

v1::RecordResponse ArmRun::log(const std::map<std::string, double>& metrics,
                               std::optional<std::int64_t> step) const {
  v1::MetricsRecorded recorded;
  recorded.set_arm(arm_.name());
  recorded.set_attempt_id(attempt_id());
  recorded.mutable_metrics()->insert(metrics.begin(), metrics.end());
  if (step) {
    recorded.set_step(*step);
  }
  return record(event(std::move(recorded)));
}

v1::RecordResponse ArmRun::log_eval(const v1::EvalResult& row) const {
  v1::EvalRecorded recorded;
  recorded.set_arm(arm_.name());
  recorded.set_attempt_id(attempt_id());
  *recorded.mutable_eval_result() = row;
  return record(event(std::move(recorded)));
}

v1::RecordResponse ArmRun::finish(v1::ArmStatus status) const {
  v1::ArmFinished end;
  end.set_status(status);
  return finish(std::move(end));
}

v1::RecordResponse ArmRun::finish(v1::ArmFinished end) const {
  end.set_arm(arm_.name());
  end.set_attempt_id(attempt_id());
  return record(event(std::move(end)));
}

v1::RecordResponse ArmRun::record(v1::Event event) const { return stream_->record(*stream_->calls, std::move(event)); }

v1::RecordResponse ArmRun::Stream::record(const Calls& over, v1::Event event) {
  const std::lock_guard lock(mutex);
  v1::RecordRequest request;
  request.set_experiment(experiment);
  // A failed call ends the stream, because it is unknown whether its event was stored.
  *request.mutable_position() = std::exchange(next, first_position());
  *request.add_events() = std::move(event);
  is_end_tried |= request.events(0).has_arm_finished();
  v1::RecordResponse response = over.record(request);
  next = std::move(*request.mutable_position());
  next.set_first_sequence(next.first_sequence() + 1);
  is_running = (is_running || request.events(0).has_arm_started()) && !request.events(0).has_arm_finished();
  return response;
}

void ArmRun::Stream::end(v1::ArmStatus status, const std::string& error) {
  {
    const std::lock_guard lock(mutex);
    if (!is_running) {
      return;
    }
  }
  v1::ArmFinished end;
  end.set_arm(arm);
  end.set_attempt_id(attempt_id);
  end.set_status(status);
  if (!error.empty()) {
    end.set_error(error);
  }
  record(calls->with_cancellation({}), event(std::move(end)));
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
      run.stream_->end(status, text);
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
  run.stream_->end(v1::ARM_STATUS_COMPLETED);
}

}  // namespace podium
