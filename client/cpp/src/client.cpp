#include "podium/client.h"

#include <utility>

namespace podium {

Client::Client(const std::string& address, Timeouts timeouts)
    : calls_(std::make_shared<const Calls>(address, timeouts)) {}

Experiment Client::experiment(std::string name) const { return {calls_, std::move(name)}; }

Arm Client::arm(std::string experiment, std::string name) const {
  return {calls_, std::move(experiment), std::move(name)};
}

Listing<v1::Experiment> Client::experiments(v1::ListExperimentsRequest filter) const {
  return Listing<v1::Experiment>([calls = calls_, request = std::move(filter)](const std::string& token) mutable {
    request.set_page_token(token);
    const v1::ListExperimentsResponse page = calls->list_experiments(request);
    return Page<v1::Experiment>{{page.experiments().begin(), page.experiments().end()}, page.next_page_token()};
  });
}

v1::RecordResponse Client::record(const std::string& experiment, const std::vector<v1::Event>& events,
                                  const std::optional<v1::StreamPosition>& position) const {
  v1::RecordRequest request;
  request.set_experiment(experiment);
  *request.mutable_events() = {events.begin(), events.end()};
  if (position) {
    *request.mutable_position() = *position;
  }
  return calls_->record(request);
}

}  // namespace podium
