/// Where everything begins.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "podium/calls.h"
#include "podium/handles.h"

namespace podium {

/// A client of one server. Copies share its connection; safe to use from any number of threads.
class Client {
 public:
  /// A client of the server at HOST:PORT or unix:PATH. The first call connects.
  ///
  /// Throws std::invalid_argument if the address is neither.
  explicit Client(const std::string& address, Timeouts timeouts = {});

  /// A handle on an experiment; no call is made.
  Experiment experiment(std::string name) const;

  /// A handle on an arm; no call is made.
  Arm arm(std::string experiment, std::string name) const;

  /// The experiments that pass the filters of a request, by name.
  Listing<v1::Experiment> experiments(v1::ListExperimentsRequest filter = {}) const;

  /// Records events of one experiment, all of them or none. With a position they are applied exactly
  /// once; without one, the call is still safe to repeat. Error::refusals() lists every refused one.
  v1::RecordResponse record(const std::string& experiment, const std::vector<v1::Event>& events,
                            const std::optional<v1::StreamPosition>& position = std::nullopt) const;

  /// Every rpc as it is.
  const Calls& calls() const { return *calls_; }

 private:
  std::shared_ptr<const Calls> calls_;
};

}  // namespace podium
