// What becomes of calls that a server refuses since it has too much to do.
#include <google/protobuf/any.pb.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <podium/podium.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "podium/internal/details.pb.h"

namespace {

namespace v1 = podium::v1;
using std::chrono::milliseconds;

/// A server that refuses its first calls and asks to wait before the next one.
class Refusing final : public v1::ResultsService::Service {
 public:
  Refusing(std::string reason, int refusals, milliseconds delay,
           grpc::StatusCode code = grpc::StatusCode::RESOURCE_EXHAUSTED)
      : reason_(std::move(reason)), refusals_(refusals), delay_(delay), code_(code), recording_(*this) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    builder.RegisterService(&recording_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }

  podium::Client client(podium::Options options = {}) const { return podium::Client(address_, std::move(options)); }
  const std::string& address() const { return address_; }
  int calls() const { return calls_; }
  std::string token() const { return token_; }
  std::string agent() const { return agent_; }

  grpc::Status Score(grpc::ServerContext* context, const v1::ScoreRequest*, v1::ScoreResponse*) override {
    const auto token = context->client_metadata().find("authorization");
    const auto agent = context->client_metadata().find("user-agent");
    agent_ = agent == context->client_metadata().end() ? "" : std::string(agent->second.data(), agent->second.size());
    token_ = token == context->client_metadata().end() ? "" : std::string(token->second.data(), token->second.size());
    return answer();
  }

 private:
  class Recording final : public v1::RecordingService::Service {
   public:
    explicit Recording(Refusing& server) : server_(server) {}
    grpc::Status Record(grpc::ServerContext*, const v1::RecordRequest*, v1::RecordResponse*) override {
      return server_.answer();
    }

   private:
    Refusing& server_;
  };

  grpc::Status answer() {
    if (++calls_ > refusals_) {
      return grpc::Status::OK;
    }
    podium::internal::ErrorInfo info;
    info.set_reason(reason_);
    info.set_domain("podium");
    podium::internal::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay_.count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<std::int32_t>(delay_.count() % 1000 * 1'000'000));
    podium::internal::Status status;
    add(status, "google.rpc.ErrorInfo", info.SerializeAsString());
    add(status, "google.rpc.RetryInfo", retry.SerializeAsString());
    return {code_, "too much", status.SerializeAsString()};
  }

  static void add(podium::internal::Status& status, const std::string& type, const std::string& bytes) {
    google::protobuf::Any& detail = *status.add_details();
    detail.set_type_url("type.googleapis.com/" + type);
    detail.set_value(bytes);
  }

  std::string reason_;
  int refusals_;
  milliseconds delay_;
  grpc::StatusCode code_;
  Recording recording_;
  std::atomic<int> calls_ = 0;
  std::string token_;
  std::string agent_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
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

// Reads and writes are repeated when the server asks for it, as often as there is time for.
TEST(Overload, TheServerIsAskedAgain) {
  const Refusing read("OVERLOADED", 20, milliseconds(1));
  EXPECT_NO_THROW((void)read.client().arm("e", "a").score("m"));
  EXPECT_EQ(read.calls(), 21);
  const Refusing write("OVERLOADED", 20, milliseconds(1));
  EXPECT_NO_THROW(write.client().experiment("e").declare());
  EXPECT_EQ(write.calls(), 21);
}

// A server that stops refuses a call before it does anything, so that a write is repeated, too.
TEST(Overload, AStoppingServerIsAskedAgain) {
  const Refusing server("SHUTTING_DOWN", 3, milliseconds(1), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NO_THROW(server.client().experiment("e").declare());
  EXPECT_EQ(server.calls(), 4);
}

// A call that a stopping server rejects is sent to the next server at once.
TEST(Overload, TheNextServerIsAskedAtOnce) {
  const Refusing server("SHUTTING_DOWN", 1, std::chrono::hours(1), grpc::StatusCode::UNAVAILABLE);
  const std::string port = server.address().substr(server.address().rfind(':'));
  EXPECT_NO_THROW(podium::Client(server.address() + ",localhost" + port).experiment("e").declare());
  EXPECT_EQ(server.calls(), 2);
}

// Each server gets calls, and one that is absent gets none.
TEST(Overload, ServersGetCallsInTurns) {
  const Refusing one("", 0, milliseconds(0));
  const Refusing other("", 0, milliseconds(0));
  const podium::Client client("127.0.0.1:1, " + one.address() + "," + other.address());
  for (int call = 0; call < 6; ++call) {
    client.experiment("e").declare();
  }
  EXPECT_GT(one.calls(), 0);
  EXPECT_GT(other.calls(), 0);
  EXPECT_EQ(one.calls() + other.calls(), 6);
}

// A write with a position is repeated while no server answers: the server applies it once.
TEST(Overload, WritesWithAPositionAreRepeated) {
  const Refusing server("", 3, milliseconds(1), grpc::StatusCode::UNAVAILABLE);
  podium::v1::StreamPosition position;
  position.set_writer_id("w");
  position.set_first_sequence(1);
  EXPECT_NO_THROW(server.client().experiment("e").record({podium::event(v1::Skipped())}, position));
  EXPECT_EQ(server.calls(), 4);
  const Refusing other("", 3, milliseconds(1), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THROW(other.client().experiment("e").record({podium::event(v1::Skipped())}), podium::Error);
  EXPECT_EQ(other.calls(), 1);
}

// A call is not repeated where the pause would end after its time: it fails at once, as the server said.
TEST(Overload, NothingIsRepeatedAfterTheDeadline) {
  const Refusing server("OVERLOADED", 9, std::chrono::hours(1));
  const podium::Error read = error_of([&] { (void)server.client().arm("e", "a").score("m"); });
  EXPECT_EQ(read.reason(), "OVERLOADED") << read.what();
  const podium::Error write = error_of([&] { server.client().experiment("e").declare(); });
  EXPECT_EQ(write.reason(), "OVERLOADED") << write.what();
  EXPECT_EQ(server.calls(), 2);
}

// What stays as it is, such as a full disk, is no reason to repeat a call.
TEST(Overload, OtherRefusalsAreFinal) {
  const Refusing server("STORAGE_FULL", 9, milliseconds(1));
  EXPECT_EQ(error_of([&] { (void)server.client().arm("e", "a").score("m"); }).reason(), "STORAGE_FULL");
  EXPECT_EQ(server.calls(), 1);
}

// A call that waits for its next attempt is cancelled, too.
TEST(Overload, APauseIsCancelled) {
  const Refusing server("OVERLOADED", 9, std::chrono::minutes(30));
  podium::Options options;
  options.timeouts.reads = std::chrono::hours(1);
  const podium::Cancellation cancellation;
  std::thread cancels([&] {
    while (server.calls() == 0) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    cancellation.cancel();
  });
  const auto client = server.client(options).with_cancellation(cancellation);
  const podium::Error read = error_of([&] { (void)client.arm("e", "a").score("m"); });
  cancels.join();
  EXPECT_EQ(read.code(), grpc::StatusCode::CANCELLED) << read.what();
  EXPECT_EQ(server.calls(), 1);
}

// Each attempt at a call sends the metadata of the client.
TEST(Overload, MetadataIsSent) {
  const Refusing server("OVERLOADED", 1, milliseconds(1));
  podium::Options options;
  int asked = 0;
  options.metadata = [&] { return podium::Metadata{{"authorization", "Bearer " + std::to_string(++asked)}}; };
  (void)server.client(options).arm("e", "a").score("m");
  EXPECT_EQ(server.token(), "Bearer 2");
  EXPECT_NE(server.agent().find("podium-cpp/0."), std::string::npos) << server.agent();
}

}  // namespace
