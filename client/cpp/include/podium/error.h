/// What can go wrong.
#pragma once

#include <grpcpp/support/status.h>

#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "podium/v1/error_reason.pb.h"

namespace podium {

/// One refused event of a Record call.
struct RefusedEvent {
  /// The index of the event in the call, from 0.
  std::size_t index;
  /// Why it was refused.
  v1::ErrorReason reason;
  /// Whether it will never be accepted as it is; else what it needs may still come.
  bool permanent;
  /// What was wrong and what would be right, said of the first event refused for the reason.
  std::string message;
};

/// A call to Podium failed. A write that failed changed nothing, unless no answer came: after
/// UNAVAILABLE without a reason or DEADLINE_EXCEEDED the outcome is unknown, and sending the same
/// call again is safe.
class Error : public std::runtime_error {
 public:
  /// The particulars of a reason, such as the arm: the reasons' comments name the keys.
  using Metadata = std::map<std::string, std::string>;

  Error(grpc::StatusCode code, std::string message, std::string reason = "", Metadata metadata = {},
        std::vector<RefusedEvent> refusals = {});

  /// The error of a call whose status is not OK.
  static Error from(const grpc::Status& status);

  /// The canonical status code.
  grpc::StatusCode code() const { return code_; }
  /// The name of the code as the protocol writes it, such as NOT_FOUND.
  std::string code_name() const;
  /// What was wrong and what would be right; what() says the code and the reason before it.
  const std::string& message() const { return message_; }
  /// Why exactly, such as STALE_ATTEMPT: the name of an ErrorReason without its prefix. Empty where
  /// nobody said.
  const std::string& reason() const { return reason_; }
  /// Whether the call failed for this reason.
  bool is(v1::ErrorReason reason) const;
  /// The particulars of the reason.
  const Metadata& metadata() const { return metadata_; }
  /// Every refused event of a Record call, in the order of their reasons; empty for other calls.
  const std::vector<RefusedEvent>& refusals() const { return refusals_; }

 private:
  grpc::StatusCode code_;
  std::string message_;
  std::string reason_;
  Metadata metadata_;
  std::vector<RefusedEvent> refusals_;
};

/// The name of a reason without its prefix, such as STALE_ATTEMPT.
std::string reason_name(v1::ErrorReason reason);

}  // namespace podium
