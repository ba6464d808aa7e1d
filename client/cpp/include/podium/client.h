/// The client of a server.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "podium/calls.h"
#include "podium/handles.h"

namespace podium {

/// Returns the address in the environment variable PODIUM_ADDRESS, or localhost:50051 if it is not set.
[[nodiscard]] std::string default_address();

/// A client of one server. Copies share its connection, which is closed with the last of them and their
/// handles. Any number of threads can use one client. After a fork, make a new client in the child.
class Client {
 public:
  /// Makes a client of the server at PODIUM_ADDRESS, or at localhost:50051. The first call connects.
  Client() : Client(default_address()) {}

  /// Makes a client of the server at HOST:PORT or unix:PATH.
  ///
  /// HOST:PORT,HOST:PORT are several servers with the same results. They get calls in turns. If one stops or
  /// cannot be reached, the others get its calls. dns:NAME:PORT stands for all servers of a name.
  ///
  /// Throws std::invalid_argument if the address is not in one of these forms.
  explicit Client(const std::string& address, Options options = {});

  /// Returns a client over the same connection with other deadlines:
  /// `client.with_timeouts({1s, 1s}).arm("e", "a").score("acc")`.
  [[nodiscard]] Client with_timeouts(Timeouts timeouts) const;

  /// Returns a client over the same connection. Its calls, and those of its handles, can be cancelled.
  [[nodiscard]] Client with_cancellation(Cancellation cancellation) const;

  /// Returns a handle of an experiment. It makes no call.
  [[nodiscard]] Experiment experiment(std::string name) const;

  /// Returns a handle of an arm. It makes no call.
  [[nodiscard]] Arm arm(std::string experiment, std::string name) const;

  /// Returns the version and the limits of the server, and the id of its store.
  [[nodiscard]] v1::Server server() const;

  /// Returns the token of this client. Empty if the server requires no tokens.
  [[nodiscard]] std::optional<v1::Token> whoami() const;

  /// Lists the experiments that match the filters of a request, sorted by name.
  [[nodiscard]] Listing<v1::Experiment> experiments(v1::ListExperimentsRequest filter = {}) const;

  /// Returns an object with every rpc.
  [[nodiscard]] const Calls& calls() const noexcept { return *calls_; }

 private:
  explicit Client(std::shared_ptr<const Calls> calls);

  std::shared_ptr<const Calls> calls_;
};

}  // namespace podium
