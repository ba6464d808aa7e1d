/// Cancels running calls.
#pragma once

#include <memory>

namespace podium {

/// Cancels the calls of clients that were made with it: `client.with_cancellation(cancellation)`. Copies cancel
/// the same calls. Any thread can use it at any time, even if no call is running.
class Cancellation {
 public:
  Cancellation();

  /// Cancels the running calls, and each later call. They throw an Error with CANCELLED.
  void cancel() const;

  /// Returns whether cancel() was called.
  [[nodiscard]] bool is_cancelled() const;

 private:
  friend class Calls;
  friend class Watch;
  struct State;

  std::shared_ptr<State> state_;
};

}  // namespace podium
