#include "address.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <regex>
#include <stdexcept>

namespace podium {
namespace {

// A response is larger than the request that recorded it: it also has times and revisions.
constexpr int kLargestResponse = 16 << 20;

grpc::ChannelArguments arguments(const std::string& address) {
  grpc::ChannelArguments arguments;
  // Calls retries calls. gRPC would end after 5 attempts, even before the deadline.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Pings detect a server that is gone without closing the connection.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // A restarted server is found between the retries of a call. The default of gRPC is two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // A new client connects at once, even if the connection of another client has just failed.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetString(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "podium-cpp/" PODIUM_VERSION);
  arguments.SetMaxReceiveMessageSize(kLargestResponse);
  if (is_loopback(address)) {
    // gRPC would use the proxy of the environment even for ports of this machine.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
  return arguments;
}

}  // namespace

bool is_loopback(const std::string& address) {
  static const std::regex loopback(R"((localhost|127\.[0-9.]+|\[::1\]):[0-9]+)");
  return std::regex_match(address, loopback);
}

std::shared_ptr<grpc::Channel> channel_to(const std::string& address,
                                          const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  static const std::regex sound(R"(unix:.+|(\[[^\]\s]+\]|[^:/\s\[\]]+):[0-9]{1,5})");
  if (!std::regex_match(address, sound)) {
    throw std::invalid_argument("an address is HOST:PORT or unix:PATH, not \"" + address + "\"");
  }
  return grpc::CreateCustomChannel(address, credentials ? credentials : grpc::InsecureChannelCredentials(),
                                   arguments(address));
}

}  // namespace podium
