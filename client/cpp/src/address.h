/// Addresses, and channels to servers.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>
#include <vector>

namespace podium {

/// Returns whether an address is a port of this machine that only this machine can reach.
bool is_loopback(const std::string& address);

/// Returns the address of each server in a list of addresses, without repetitions. Throws std::invalid_argument
/// unless each is HOST:PORT, or the only one is unix:PATH.
std::vector<std::string> addresses_of(const std::string& list);

/// Returns a channel that connects with its first call, and again after the connection is lost. Without
/// credentials, it is not encrypted. If the client has other servers, the channel watches the server's health.
std::shared_ptr<grpc::Channel> channel_to(const std::string& address,
                                          const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                          bool has_others);

}  // namespace podium
