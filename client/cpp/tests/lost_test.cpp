// What becomes of calls that no server answers. Each test's peer is a real socket.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <podium/podium.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace {

using std::chrono::milliseconds;

/// A peer that reads what it is sent, and then hangs up or stays silent.
class Peer {
 public:
  explicit Peer(bool hangs_up) : listener_(socket(AF_INET, SOCK_STREAM, 0)), hangs_up_(hangs_up) {
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&place);
    socklen_t size = sizeof(place);
    bind(listener_, generic, size);
    listen(listener_, 16);
    getsockname(listener_, generic, &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(place.sin_port));
    thread_ = std::thread([this] { serve(); });
  }

  ~Peer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    for (const int connection : open_) {
      close(connection);
    }
  }

  const std::string& address() const { return address_; }

 private:
  void serve() {
    for (int connection = 0; (connection = accept(listener_, nullptr, nullptr)) >= 0;) {
      char buffer[1024];
      if (hangs_up_) {
        [[maybe_unused]] const auto received = recv(connection, buffer, sizeof(buffer), 0);
        close(connection);
      } else {
        open_.push_back(connection);
      }
    }
  }

  int listener_;
  bool hangs_up_;
  std::string address_;
  std::vector<int> open_;
  std::thread thread_;
};

template <class Call>
podium::Error error_of(Call call) {
  try {
    call();
  } catch (const podium::Error& error) {
    return error;
  }
  return {grpc::StatusCode::OK, "no error"};
}

// Nobody at the address is an error of this client, with nothing of the peer in it; a write says
// that its outcome is unknown.
TEST(Lost, ThePeerHangsUp) {
  const Peer peer(true);
  const podium::Client client(peer.address());
  const podium::Error read = error_of([&] { return client.arm("e", "a").eval("val"); });
  EXPECT_EQ(read.code(), grpc::StatusCode::UNAVAILABLE) << read.what();
  EXPECT_EQ(read.reason(), "");
  EXPECT_EQ(read.message().rfind("no Podium server answers at " + peer.address(), 0), 0U) << read.what();
  const podium::Error write = error_of([&] { client.experiment("e").declare(); });
  EXPECT_EQ(write.code(), grpc::StatusCode::UNAVAILABLE) << write.what();
  EXPECT_NE(write.message().find("safe to send it again"), std::string::npos) << write.what();
}

// A peer that never answers holds nobody up for longer than the deadline.
TEST(Lost, ThePeerIsSilent) {
  const Peer peer(false);
  podium::Options options;
  options.timeouts = {milliseconds(300), milliseconds(300)};
  const podium::Client client(peer.address(), options);
  const auto start = std::chrono::steady_clock::now();
  const podium::Error read = error_of([&] { return client.arm("e", "a").score("x"); });
  EXPECT_EQ(read.code(), grpc::StatusCode::DEADLINE_EXCEEDED) << read.what();
  const podium::Error write = error_of([&] { client.arm("e", "a").remove(); });
  EXPECT_EQ(write.code(), grpc::StatusCode::DEADLINE_EXCEEDED) << write.what();
  EXPECT_NE(write.message().find("unknown"), std::string::npos) << write.what();
  const podium::Client patient(peer.address());
  const podium::Error one = error_of(
      [&] { return patient.with_timeouts({milliseconds(50), milliseconds(50)}).arm("e", "a").score("x"); });
  EXPECT_EQ(one.code(), grpc::StatusCode::DEADLINE_EXCEEDED) << one.what();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(9));
}

}  // namespace
