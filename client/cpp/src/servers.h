/// The servers of a client, which have the same results.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "podium/calls.h"

namespace podium {

/// The channel to one server, and its rpcs.
struct Calls::Stubs {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::ResultsService::StubInterface> results;
  std::unique_ptr<v1::RecordingService::StubInterface> recording;
  std::unique_ptr<v1::AccessService::StubInterface> access;
};

/// Gives calls to servers in turns.
class Calls::Servers {
 public:
  Servers(const std::vector<std::string>& addresses, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

  /// Returns the server whose turn it is. Those without a connection, or that stop, are left out.
  const Stubs& next();

  /// Returns how many other servers there are.
  int others() const { return static_cast<int>(stubs_.size()) - 1; }

 private:
  std::vector<Stubs> stubs_;
  std::atomic<std::size_t> turns_ = 0;
};

}  // namespace podium
