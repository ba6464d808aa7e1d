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

/// A peer that speaks HTTP/2 so far that a call is sent to it, and then hangs up or stays silent.
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
      constexpr char settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
      send(connection, settings, sizeof(settings), MSG_NOSIGNAL);
      if (hangs_up_) {
        read_a_call(connection);
        close(connection);
      } else {
        open_.push_back(connection);
      }
    }
  }

  /// Reads frames until the headers of a call.
  static void read_a_call(int connection) {
    constexpr std::size_t preface = 24;
    std::string received;
    char buffer[4096];
    for (std::size_t place = preface;;) {
      while (received.size() >= place + 9) {
        const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(received[place + at]); };
        if (byte(3) == 1) {
          return;
        }
        place += 9U + (std::size_t{byte(0)} << 16U) + (std::size_t{byte(1)} << 8U) + byte(2);
      }
      const auto size = recv(connection, buffer, sizeof(buffer), 0);
      if (size <= 0) {
        return;
      }
      received.append(buffer, static_cast<std::size_t>(size));
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

// A lost connection is an error of this client, and no hint to start a server; a write says that its
// outcome is unknown.
TEST(Lost, ThePeerHangsUp) {
  const Peer peer(true);
  podium::Options options;
  options.timeouts.reads = milliseconds(500);
  const podium::Client client(peer.address(), options);
  const podium::Error read = error_of([&] { return client.arm("e", "a").eval("val"); });
  EXPECT_EQ(read.code(), grpc::StatusCode::UNAVAILABLE) << read.what();
  EXPECT_EQ(read.reason(), "");
  const std::string lost = "the connection to " + peer.address() + " was lost during the call (";
  EXPECT_EQ(read.message().rfind(lost, 0), 0U) << read.what();
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
  EXPECT_EQ(read.message(), peer.address() + " did not answer within 0.3 s");
  const podium::Error write = error_of([&] { client.arm("e", "a").remove(); });
  EXPECT_EQ(write.code(), grpc::StatusCode::DEADLINE_EXCEEDED) << write.what();
  EXPECT_NE(write.message().find("unknown"), std::string::npos) << write.what();
  const podium::Client patient(peer.address());
  const podium::Error one = error_of(
      [&] { return patient.with_timeouts({milliseconds(50), milliseconds(50)}).arm("e", "a").score("x"); });
  EXPECT_EQ(one.code(), grpc::StatusCode::DEADLINE_EXCEEDED) << one.what();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(9));
}

// If no server of a list answers, the error names all, and a write was not sent.
TEST(Lost, NoServerListens) {
  const podium::Error write = error_of([] { podium::Client("127.0.0.1:1, 127.0.0.1:2").experiment("e").declare(); });
  EXPECT_EQ(write.message().rfind("no Podium server answers at 127.0.0.1:1,127.0.0.1:2: ", 0), 0U) << write.what();
  EXPECT_EQ(write.message().find("unknown"), std::string::npos) << write.what();
}

// A malformed address in a list is named, and a socket has no list.
TEST(Lost, ListsOfAddresses) {
  EXPECT_NO_THROW(podium::Client(" one:1, [::1]:2,one:1\n"));
  EXPECT_NO_THROW(podium::Client("unix:/run/a,b"));
  for (const char* bad : {"two", "", "unix:/run/podium.sock", "two:65536"}) {
    const std::string expected = "an address is HOST:PORT or unix:PATH, not \"" + std::string(bad) + "\"";
    try {
      const podium::Client client("one:1," + std::string(bad));
      FAIL() << bad;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(error.what(), expected);
    }
  }
}

// What was to be written to an absent server never left, so its outcome is known.
TEST(Lost, NobodyListens) {
  const int unused = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(place);
  bind(unused, reinterpret_cast<sockaddr*>(&place), size);
  getsockname(unused, reinterpret_cast<sockaddr*>(&place), &size);
  const std::string closed = "127.0.0.1:" + std::to_string(ntohs(place.sin_port));
  for (const std::string& address : {closed, std::string("unix:/tmp/podium-nobody-listens-here")}) {
    const podium::Error write = error_of([&] { podium::Client(address).experiment("e").declare(); });
    EXPECT_EQ(write.code(), grpc::StatusCode::UNAVAILABLE) << write.what();
    EXPECT_NE(write.message().find("podium serve"), std::string::npos) << write.what();
    EXPECT_EQ(write.message().find("unknown"), std::string::npos) << write.what();
  }
  close(unused);
}

// A call is cancelled while it lasts, from another thread.
TEST(Lost, ACallIsCancelled) {
  const Peer peer(false);
  podium::Options options;
  options.timeouts = {std::chrono::minutes(5), std::chrono::minutes(5)};
  const podium::Cancellation cancellation;
  const auto client = podium::Client(peer.address(), options).with_cancellation(cancellation);
  std::thread cancels([&] {
    std::this_thread::sleep_for(milliseconds(100));  // Most often the call is under way by then.
    cancellation.cancel();
  });
  const podium::Error write = error_of([&] { client.experiment("e").declare(); });
  cancels.join();
  EXPECT_EQ(write.code(), grpc::StatusCode::CANCELLED) << write.what();
  EXPECT_NE(write.message().find("unknown"), std::string::npos) << write.what();
}

}  // namespace
