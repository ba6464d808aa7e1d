#include "address.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <regex>
#include <stdexcept>

namespace podium {
namespace {

// A response is larger than the request that recorded it: it also has times and revisions.
constexpr int kLargestResponse = 16 << 20;

constexpr int kMostPort = 65'535;

// Each server of a name gets calls, unless its health service says that it stops.
constexpr char kBalanced[] =
    R"({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})";

std::string stripped(const std::string& text) {
  constexpr char kSpaces[] = " \t\r\n";
  const auto first = std::min(text.find_first_not_of(kSpaces), text.size());
  return text.substr(first, text.find_last_not_of(kSpaces) + 1 - first);
}

bool is_socket(const std::string& address) { return address.rfind("unix:", 0) == 0; }

void check(const std::string& address) {
  static const std::regex sound(R"(((dns|ipv4|ipv6):/*)?(\[[^\]\s]+\]|[^:/\s\[\]]+):[0-9]{1,5})");
  if (!std::regex_match(address, sound) || std::stoi(address.substr(address.rfind(':') + 1)) > kMostPort) {
    throw std::invalid_argument("an address is HOST:PORT or unix:PATH, not \"" + address + "\"");
  }
}

grpc::ChannelArguments arguments(const std::string& address, bool has_others) {
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
  if (has_others || address.rfind("dns:", 0) == 0) {
    arguments.SetServiceConfigJSON(kBalanced);
    // The next server is tried soon if one disappeared.
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  }
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

std::vector<std::string> addresses_of(const std::string& list) {
  const std::string text = stripped(list);
  if (is_socket(text) && text != "unix:") {
    return {text};
  }
  std::vector<std::string> addresses;
  for (std::size_t from = 0, to = 0; to != std::string::npos; from = to + 1) {
    to = text.find(',', from);
    const std::string address = stripped(text.substr(from, to - from));
    check(address);
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(address);
    }
  }
  return addresses;
}

std::shared_ptr<grpc::Channel> channel_to(const std::string& address,
                                          const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                          bool has_others) {
  return grpc::CreateCustomChannel(address, credentials ? credentials : grpc::InsecureChannelCredentials(),
                                   arguments(address, has_others));
}

}  // namespace podium
