#include "security.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "podium/error.h"

namespace podium {
namespace {

std::string stripped(const std::string& text) {
  constexpr char kSpaces[] = " \t\r\n";
  const auto first = text.find_first_not_of(kSpaces);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpaces) + 1 - first);
}

std::string variable(const char* name) {
  const char* given = std::getenv(name);
  return given == nullptr ? "" : stripped(given);
}

/// Returns the content of a file, or nothing if it cannot be read.
std::optional<std::string> content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return file.good() || file.eof() ? std::optional(text) : std::nullopt;
}

/// Returns the content of a file of TLS. Empty if there is no file.
std::string pem(const std::string& path) {
  const std::optional<std::string> text = path.empty() ? "" : content(path);
  if (!text) {
    throw std::invalid_argument(path + " cannot be read");
  }
  if (!path.empty() && text->find("-----BEGIN ") == std::string::npos) {
    throw std::invalid_argument(path + " is not PEM");
  }
  return *text;
}

void check_pair(const Tls& tls, const char* what) {
  if (tls.cert.empty() != tls.key.empty()) {
    throw std::invalid_argument(std::string(what) + " belong together: set both");
  }
}

}  // namespace

std::optional<Tls> Tls::from_env() {
  const Tls tls{variable("PODIUM_TLS_CA"), variable("PODIUM_TLS_CERT"), variable("PODIUM_TLS_KEY")};
  check_pair(tls, "PODIUM_TLS_CERT and PODIUM_TLS_KEY");
  return tls.ca.empty() && tls.cert.empty() ? std::nullopt : std::optional(tls);
}

Token Token::from_env() {
  const std::string text = variable("PODIUM_TOKEN");
  return text.empty() ? Token{"", variable("PODIUM_TOKEN_FILE")} : Token{text, ""};
}

std::shared_ptr<grpc::ChannelCredentials> credentials_of(const Tls& tls) {
  check_pair(tls, "a certificate and its key");
  return grpc::SslCredentials({pem(tls.ca), pem(tls.key), pem(tls.cert)});
}

std::string header_of(const Token& token) {
  if (token.text.empty() && token.file.empty()) {
    return "";
  }
  const std::optional<std::string> text = token.text.empty() ? content(token.file) : token.text;
  if (!text) {
    throw Error(grpc::StatusCode::UNAUTHENTICATED, "the token's file " + token.file + " cannot be read");
  }
  const std::string line = stripped(*text);
  for (const char c : line) {
    if (c <= ' ' || c > '~') {
      throw Error(grpc::StatusCode::UNAUTHENTICATED, "a token is pdm_ID_SECRET, in one line");
    }
  }
  return "Bearer " + line;
}

}  // namespace podium
