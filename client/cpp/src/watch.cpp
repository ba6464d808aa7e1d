#include "podium/watch.h"

#include <google/protobuf/util/message_differencer.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <utility>

#include "cancellation_state.h"
#include "podium/error.h"
#include "podium/handles.h"
#include "retries.h"
#include "updates.h"

namespace podium {
namespace {

using google::protobuf::util::MessageDifferencer;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

/// The number of resets in a row, without another update, after which a watch fails.
constexpr int kMostResets = 3;
/// The time limit of the retries if the server has never answered.
constexpr std::chrono::seconds kConnectTime(10);
/// The reasons of errors after which a watch continues.
constexpr std::array kTransient = {v1::ERROR_REASON_OVERLOADED, v1::ERROR_REASON_SHUTTING_DOWN,
                                   v1::ERROR_REASON_WATCH_TOO_SLOW, v1::ERROR_REASON_OUTCOME_UNKNOWN};

bool is_transient(const Error& error) {
  for (const v1::ErrorReason reason : kTransient) {
    if (error.is(reason)) {
      return true;
    }
  }
  return error.reason().empty() &&
         (error.code() == grpc::StatusCode::UNAVAILABLE || error.code() == grpc::StatusCode::INTERNAL);
}

v1::WatchResponse deletion() {
  v1::WatchResponse update;
  update.set_deleted(true);
  return update;
}

}  // namespace

struct Watch::State {
  /// One call, which ends with this object.
  struct Call {
    Call(const Calls& calls, const v1::WatchRequest& request)
        : under_way(*calls.cancellation_.state_, context), reader(calls.watch(context, request)) {}

    ~Call() {
      if (reader) {
        context.TryCancel();
        reader->Finish();
      }
    }

    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    grpc::Status finish() { return std::exchange(reader, nullptr)->Finish(); }

    grpc::ClientContext context;
    Cancellation::State::UnderWay under_way;
    std::unique_ptr<grpc::ClientReaderInterface<v1::WatchResponse>> reader;
  };

  State(std::shared_ptr<const Calls> given, v1::WatchRequest asked)
      : calls(std::move(given)), cancellation(*calls->cancellation_.state_), request(std::move(asked)) {}

  std::optional<v1::WatchResponse> read();
  std::optional<v1::WatchResponse> read_call();
  std::optional<v1::WatchResponse> after_failure(const grpc::Status& status);
  void add(v1::WatchResponse& update, const v1::WatchResponse& response);
  bool complete(const v1::WatchResponse& update);
  bool begin();
  void end();
  void pause(nanoseconds time);

  std::shared_ptr<const Calls> calls;
  /// The state of the client's Cancellation. Its mutex also guards `call` and `is_cancelled`.
  Cancellation::State& cancellation;
  std::unique_ptr<Call> call;
  std::atomic<bool> is_cancelled = false;

  v1::WatchRequest request;
  const steady_clock::time_point begun = steady_clock::now();
  /// The last marker that arrived.
  std::optional<v1::WatchMarker> marker;
  /// Failures and resets since the last update that was not a reset.
  int failures = 0;
  int resets = 0;
  bool is_over = false;
};

Watch::Watch(std::shared_ptr<const Calls> calls, v1::WatchRequest request)
    : state_(std::make_unique<State>(std::move(calls), std::move(request))) {}

Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&&) noexcept = default;

Watch::~Watch() {
  if (state_) {
    state_->end();
  }
}

std::optional<v1::WatchResponse> Watch::next() {
  if (std::exchange(state_->is_over, true)) {
    return std::nullopt;
  }
  auto update = state_->read();
  state_->is_over = !update || update->deleted();
  return update;
}

void Watch::cancel() const {
  const std::lock_guard lock(state_->cancellation.mutex);
  state_->is_cancelled = true;
  if (state_->call) {
    state_->call->context.TryCancel();
  }
  state_->cancellation.cancelled.notify_all();
}

/// Makes calls until one has an update. Returns nothing if the watch is cancelled.
std::optional<v1::WatchResponse> Watch::State::read() {
  while (call || begin()) {
    if (auto update = read_call()) {
      return update;
    }
    const grpc::Status status = call->finish();
    end();
    if (is_cancelled) {
      break;
    }
    if (auto update = after_failure(status)) {
      return update;
    }
  }
  return std::nullopt;
}

/// Reads responses of the call until they complete a new update. Returns nothing if the call has ended.
std::optional<v1::WatchResponse> Watch::State::read_call() {
  v1::WatchResponse update;
  for (v1::WatchResponse response; call->reader->Read(&response);) {
    if (response.deleted()) {
      end();
      return deletion();
    }
    add(update, response);
    if (response.has_marker()) {
      if (complete(update)) {
        return update;
      }
      update.Clear();
    }
  }
  return std::nullopt;
}

void Watch::State::add(v1::WatchResponse& update, const v1::WatchResponse& response) {
  if (response.reset() && resets == kMostResets) {
    end();
    throw Error(grpc::StatusCode::ABORTED, "the server reset the watch of \"" + request.experiment() + "\" " +
                                               std::to_string(kMostResets + 1) +
                                               " times in a row: does the address lead to servers with different "
                                               "stores?");
  }
  merge(update, response);
}

/// Stores the marker of an update. Returns whether it is new.
bool Watch::State::complete(const v1::WatchResponse& update) {
  const bool is_news = !marker || !MessageDifferencer::Equals(*marker, update.marker());
  marker = update.marker();
  request.set_after_revision(marker->revision());
  request.set_epoch(marker->epoch());
  if (update.reset()) {  // The server may only reset: the pauses grow.
    ++resets;            // A reset without its update was interrupted, and the next call repeats it.
  } else {
    failures = resets = 0;
  }
  return is_news;
}

/// Waits before the next call. Returns the last update if the experiment was deleted, and throws an Error if the
/// watch ends.
std::optional<v1::WatchResponse> Watch::State::after_failure(const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::NOT_FOUND && marker) {
    return deletion();  // It was deleted while there was no connection.
  }
  const auto ended = grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server has ended the watch");
  const grpc::Status& failed = status.ok() ? ended : status;
  const Error error = calls->error_of(failed);
  // If the server has answered before, there is no limit to the retries.
  if (!is_transient(error) || (!marker && steady_clock::now() - begun > kConnectTime)) {
    calls->fail(error, {}, false);
  }
  pause(watch_pause_after(failures++, failed));
  return std::nullopt;
}

/// Begins a call, unless the watch was cancelled.
bool Watch::State::begin() {
  auto begun_call = std::make_unique<Call>(*calls, request);
  const std::lock_guard lock(cancellation.mutex);
  if (!is_cancelled) {
    call = std::move(begun_call);
  }
  return call != nullptr;
}

/// Ends the running call.
void Watch::State::end() {
  std::unique_ptr<Call> ended;
  const std::lock_guard lock(cancellation.mutex);
  ended = std::move(call);
}

void Watch::State::pause(nanoseconds time) {
  std::unique_lock lock(cancellation.mutex);
  cancellation.cancelled.wait_for(lock, time, [this] { return is_cancelled || cancellation.is_cancelled; });
}

Watch Experiment::watch(v1::WatchRequest request) const {
  request.set_experiment(name_);
  return {calls_, std::move(request)};
}

}  // namespace podium
