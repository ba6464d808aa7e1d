/// Watches of experiments.
#pragma once

#include <memory>
#include <optional>

#include "podium/calls.h"
#include "podium/v1/results_service.pb.h"

namespace podium {

/// The updates of an experiment, which Experiment::watch() begins to watch:
/// `while (const auto update = watch.next()) …`.
///
/// Each update has a marker, and changes the state before it into exactly the state of the marker's revision.
/// Apply its fields in the order reset, removals, arms, evals, series. If the connection is lost, the watch
/// continues after the last update. One thread at a time reads a watch; any thread can cancel it. Destroying
/// the object ends its call.
class Watch {
 public:
  /// Takes over another watch, which can then no longer be read.
  Watch(Watch&&) noexcept;
  /// Ends this watch and takes over another one.
  Watch& operator=(Watch&&) noexcept;
  ~Watch();

  /// Waits for the next update. Returns nothing after the update of a deleted experiment, after an error, and
  /// after cancel().
  ///
  /// Throws an Error with NOT_FOUND if the experiment does not exist, with UNAVAILABLE if no server answered for
  /// 10 s before the first update, and with CANCELLED if the Cancellation of the client was used.
  [[nodiscard]] std::optional<v1::WatchResponse> next();

  /// Ends this watch and its call, and no other call. After that, next() returns nothing.
  void cancel() const;

 private:
  friend class Experiment;
  struct State;

  Watch(std::shared_ptr<const Calls> calls, v1::WatchRequest request);

  std::unique_ptr<State> state_;
};

}  // namespace podium
