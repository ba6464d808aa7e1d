/// Where a server is, and how a channel to it behaves.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

namespace podium {

/// Returns whether an address is a port of this machine that only this machine can reach.
bool is_loopback(const std::string& address);

/// A channel that connects with its first call, and anew after a loss; without credentials, one that
/// encrypts nothing. Throws std::invalid_argument unless the address is HOST:PORT or unix:PATH.
std::shared_ptr<grpc::Channel> channel_to(const std::string& address,
                                          const std::shared_ptr<grpc::ChannelCredentials>& credentials);

}  // namespace podium
