/// The shared state of the copies of a Cancellation.
#pragma once

#include <grpcpp/client_context.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "podium/cancellation.h"

namespace podium {

struct Cancellation::State {
  /// Registers a call for cancellation while this object lives, which must end before the context of the call.
  class UnderWay {
   public:
    UnderWay(State& state, grpc::ClientContext& context) : state_(state), context_(context) {
      const std::lock_guard lock(state_.mutex);
      state_.under_way.insert(&context_);
      if (state_.is_cancelled) {
        context_.TryCancel();
      }
    }

    ~UnderWay() {
      const std::lock_guard lock(state_.mutex);
      state_.under_way.erase(&context_);
    }

    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

   private:
    State& state_;
    grpc::ClientContext& context_;
  };

  /// Waits; returns at once if it is cancelled.
  void wait(std::chrono::nanoseconds pause) {
    std::unique_lock lock(mutex);
    cancelled.wait_for(lock, pause, [this] { return is_cancelled; });
  }

  std::mutex mutex;
  std::condition_variable cancelled;
  bool is_cancelled = false;
  std::set<grpc::ClientContext*> under_way;
};

}  // namespace podium
