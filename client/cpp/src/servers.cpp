#include "servers.h"

#include "address.h"

namespace podium {

Calls::Servers::Servers(const std::vector<std::string>& addresses,
                        const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  for (const std::string& address : addresses) {
    const auto channel = channel_to(address, credentials, addresses.size() > 1);
    stubs_.push_back({channel, v1::ResultsService::NewStub(channel), v1::RecordingService::NewStub(channel),
                      v1::AccessService::NewStub(channel)});
  }
}

const Calls::Stubs& Calls::Servers::next() {
  const std::size_t first = turns_++;
  for (std::size_t at = 0; at < stubs_.size(); ++at) {
    const Stubs& stubs = stubs_[(first + at) % stubs_.size()];
    if (stubs.channel->GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE) {
      return stubs;
    }
  }
  return stubs_[first % stubs_.size()];
}

}  // namespace podium
