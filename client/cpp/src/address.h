/// Addresses, and channels to servers.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

namespace podium {

/// Returns whether an address is a port of this machine that only this machine can reach.
bool is_loopback(const std::string& address);

/// Returns a channel that connects with its first call, and again after the connection is lost. Without
/// credentials, it is not encrypted. Throws std::invalid_argument unless the address is HOST:PORT or unix:PATH.
std::shared_ptr<grpc::Channel> channel_to(const std::string& address,
                                          const std::shared_ptr<grpc::ChannelCredentials>& credentials);

}  // namespace podium
