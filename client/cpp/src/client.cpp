#include "podium/client.h"

#include <cstdlib>
#include <utility>

namespace podium {

std::string default_address() {
  const char* given = std::getenv("PODIUM_ADDRESS");
  return given != nullptr && *given != '\0' ? given : "localhost:50051";
}

Client::Client(const std::string& address, Options options)
    : Client(std::make_shared<const Calls>(address, std::move(options))) {}

Client::Client(std::shared_ptr<const Calls> calls) : calls_(std::move(calls)) {}

Client Client::with_timeouts(Timeouts timeouts) const {
  return Client(std::make_shared<const Calls>(calls_->with_timeouts(timeouts)));
}

Client Client::with_cancellation(Cancellation cancellation) const {
  return Client(std::make_shared<const Calls>(calls_->with_cancellation(std::move(cancellation))));
}

Experiment Client::experiment(std::string name) const { return {calls_, std::move(name)}; }

Arm Client::arm(std::string experiment, std::string name) const {
  return {calls_, std::move(experiment), std::move(name)};
}

v1::Server Client::server() const { return calls_->get_server({}).server(); }

std::optional<v1::Token> Client::whoami() const {
  const v1::WhoAmIResponse response = calls_->who_am_i({});
  return response.has_token() ? std::optional(response.token()) : std::nullopt;
}

Listing<v1::Experiment> Client::experiments(v1::ListExperimentsRequest filter) const {
  return Listing<v1::Experiment>([calls = calls_, request = std::move(filter)](const std::string& token) mutable {
    request.set_page_token(token);
    const v1::ListExperimentsResponse page = calls->list_experiments(request);
    return Page<v1::Experiment>{{page.experiments().begin(), page.experiments().end()}, page.next_page_token()};
  });
}

}  // namespace podium
