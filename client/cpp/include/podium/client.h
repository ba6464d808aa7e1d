/// Where everything begins.
#pragma once

#include <memory>
#include <string>

#include "podium/calls.h"
#include "podium/handles.h"

namespace podium {

/// The address that the environment variable PODIUM_ADDRESS names; localhost:50051 where it is not
/// set.
[[nodiscard]] std::string default_address();

/// A client of one server. Copies share its connection, which ends with the last of them and of their
/// handles; safe to use from any number of threads. After a fork, the child makes a client of its own.
class Client {
 public:
  /// A client of the server that PODIUM_ADDRESS names, or of localhost:50051. The first call connects.
  Client() : Client(default_address()) {}

  /// A client of the server at HOST:PORT or unix:PATH.
  ///
  /// Throws std::invalid_argument if the address is neither.
  explicit Client(const std::string& address, Options options = {});

  /// A client over the same connection whose calls may take so long:
  /// `client.with_timeouts({1s, 1s}).arm("e", "a").score("acc")`.
  [[nodiscard]] Client with_timeouts(Timeouts timeouts) const;

  /// A client over the same connection whose calls, and those of its handles, can be cancelled.
  [[nodiscard]] Client with_cancellation(Cancellation cancellation) const;

  /// A handle on an experiment; no call is made.
  [[nodiscard]] Experiment experiment(std::string name) const;

  /// A handle on an arm; no call is made.
  [[nodiscard]] Arm arm(std::string experiment, std::string name) const;

  /// The version and the limits of the server, and the id of its store.
  [[nodiscard]] v1::Server server() const;

  /// The experiments that pass the filters of a request, by name.
  [[nodiscard]] Listing<v1::Experiment> experiments(v1::ListExperimentsRequest filter = {}) const;

  /// Every rpc as it is.
  [[nodiscard]] const Calls& calls() const noexcept { return *calls_; }

 private:
  explicit Client(std::shared_ptr<const Calls> calls);

  std::shared_ptr<const Calls> calls_;
};

}  // namespace podium
