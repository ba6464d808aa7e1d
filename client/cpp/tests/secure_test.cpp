// TLS and tokens, with the server that PODIUM_SECURE_ADDRESS names.
#include <gtest/gtest.h>
#include <podium/podium.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

std::string variable(const char* name) {
  const char* given = std::getenv(name);
  if (given == nullptr) {
    throw std::runtime_error(std::string(name) + " is set by the project's conformance tests");
  }
  return given;
}

std::string file(const std::string& name) { return variable("PODIUM_SECURE_FILES") + "/" + name; }

std::string content(const std::string& name) {
  std::ifstream stream(file(name));
  return {std::istreambuf_iterator<char>(stream), {}};
}

podium::Options options(podium::Token token = {}) {
  podium::Options made;
  made.tls = podium::Tls{file("ca.pem"), file("client.pem"), file("client.key")};
  made.token = std::move(token);
  return made;
}

podium::Client client(const podium::Options& options) {
  return podium::Client(variable("PODIUM_SECURE_ADDRESS"), options);
}

podium::Error error_of(const podium::Client& client) {
  try {
    (void)client.experiment("secure").get();
  } catch (const podium::Error& error) {
    return error;
  }
  return {grpc::StatusCode::OK, "no error"};
}

// A client with the files and a token, given as text or as a file, reads and writes.
TEST(Secure, TlsAndTokens) {
  for (const podium::Token& token : {podium::Token{content("token"), ""}, podium::Token{"", file("token")}}) {
    EXPECT_EQ(client(options(token)).whoami().value().name(), "tests");
    const podium::Experiment experiment = client(options(token)).experiment("secure");
    experiment.declare();
    EXPECT_EQ(experiment.get().name(), "secure");
  }
}

// Without a token the server refuses the call, and a file that is missing is named.
TEST(Secure, ATokenIsNeeded) {
  EXPECT_EQ(error_of(client(options())).code(), grpc::StatusCode::UNAUTHENTICATED);
  const podium::Error missing = error_of(client(options({"", file("missing")})));
  EXPECT_EQ(missing.code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_NE(missing.message().find("missing cannot be read"), std::string::npos) << missing.what();
}

// A server whose certificate another authority issued gets nothing.
TEST(Secure, OtherAuthoritiesAreRefused) {
  podium::Options made = options();
  made.tls->ca = file("other.pem");
  made.timeouts.reads = std::chrono::seconds(1);
  const podium::Error error = error_of(client(made));
  EXPECT_TRUE(error.code() == grpc::StatusCode::UNAVAILABLE || error.code() == grpc::StatusCode::DEADLINE_EXCEEDED)
      << error.what();
}

// Files that cannot be used are errors of the client, before it connects.
TEST(Secure, FilesThatCannotBeUsed) {
  for (const podium::Tls& tls : {podium::Tls{file("missing"), "", ""}, podium::Tls{file("token"), "", ""},
                                 podium::Tls{"", file("client.pem"), ""}}) {
    podium::Options made = options();
    made.tls = tls;
    EXPECT_THROW(client(made), std::invalid_argument);
  }
}

// A token is not sent without encryption, unless to this machine; nor is one in the metadata.
TEST(Secure, TokensAreKeptFromTheNetwork) {
  podium::Options with_token, with_metadata;
  with_token.tls = with_metadata.tls = std::nullopt;
  with_token.token.text = "pdm_x";
  with_metadata.metadata = [] { return podium::Metadata{{"authorization", "Bearer pdm_x"}}; };
  for (const podium::Options& made : {with_token, with_metadata}) {
    const podium::Error error = error_of(podium::Client("192.0.2.1:1", made));
    EXPECT_EQ(error.code(), grpc::StatusCode::UNAUTHENTICATED);
    const std::string text = "the token is not sent to 192.0.2.1:1 without encryption";
    EXPECT_EQ(error.message().rfind(text, 0), 0) << error.what();
  }
}

}  // namespace
