/// Reads the files of TLS and of tokens.
#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "podium/security.h"

namespace podium {

/// Returns the credentials of an encrypted channel. Throws std::invalid_argument if a file cannot be read.
std::shared_ptr<grpc::ChannelCredentials> credentials_of(const Tls& tls);

/// Returns the value of the header with the token. Empty without a token. Throws an Error with
/// UNAUTHENTICATED if the file cannot be read.
std::string header_of(const Token& token);

}  // namespace podium
