/// Reads the details of a status.
#pragma once

#include <google/protobuf/any.pb.h>
#include <grpcpp/support/status.h>

#include <string>

#include "podium/internal/details.pb.h"

namespace podium {

/// Returns the details of a status. Empty if there are none, or they are invalid.
inline internal::Status details_of(const grpc::Status& status) {
  internal::Status details;
  details.ParseFromString(status.error_details());
  return details;
}

/// Reads a detail if it is of this type.
template <class Message>
bool unpack(const google::protobuf::Any& detail, const std::string& type, Message& message) {
  const std::string& url = detail.type_url();
  return url.substr(url.rfind('/') + 1) == type && message.ParseFromString(detail.value());
}

}  // namespace podium
