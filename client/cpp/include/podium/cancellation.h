/// Calls that are given up before they end.
#pragma once

#include <memory>

namespace podium {

/// Cancels the calls of the clients that it was given to: `client.with_cancellation(cancellation)`. Copies
/// cancel the same calls. Safe to use from any thread and at any time, also when no call is under way.
class Cancellation {
 public:
  Cancellation();

  /// Ends the calls under way, and each later one at once: they throw an Error with CANCELLED.
  void cancel() const;

  /// Whether cancel() was called.
  [[nodiscard]] bool is_cancelled() const;

 private:
  friend class Calls;
  struct State;

  std::shared_ptr<State> state_;
};

}  // namespace podium
