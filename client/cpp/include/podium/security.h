/// Encryption and tokens.
#pragma once

#include <optional>
#include <string>

namespace podium {

/// The files of an encrypted connection, in PEM. They are read when the client is made: make a new client after
/// they were replaced.
struct Tls {
  /// The certificates of the authorities to trust. If empty, the public authorities that come with gRPC.
  std::string ca = {};
  /// The certificate of this client, for servers that ask for one.
  std::string cert = {};
  /// The private key of that certificate.
  std::string key = {};

  /// Returns the files that PODIUM_TLS_CA, PODIUM_TLS_CERT and PODIUM_TLS_KEY name, or nothing if none is set.
  ///
  /// Throws std::invalid_argument if only one of PODIUM_TLS_CERT and PODIUM_TLS_KEY is set.
  [[nodiscard]] static std::optional<Tls> from_env();
};

/// The token that each call sends.
struct Token {
  /// The token. Empty if there is none, or if it is in a file.
  std::string text = {};
  /// A file with the token. It is read for each call.
  std::string file = {};

  /// Returns the token of PODIUM_TOKEN, or the file of PODIUM_TOKEN_FILE.
  [[nodiscard]] static Token from_env();
};

}  // namespace podium
