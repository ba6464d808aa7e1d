/// Errors of calls.
#pragma once

#include <grpcpp/support/status.h>

#include <cstddef>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "podium/v1/error_reason.pb.h"

namespace podium {

/// A rejected event of a Record call.
struct RefusedEvent {
  /// The index of the event in the call, from 0.
  std::size_t index;
  /// The reason, such as STALE_ATTEMPT: the name of an ErrorReason without its prefix.
  std::string reason;
  /// Whether the event will never be accepted. Otherwise it waits for something that does not exist yet.
  bool permanent;
  /// The error text of the first event that was rejected for this reason.
  std::string message;
};

/// The error of a call. A failed write has changed nothing, unless its response was lost. Then the message says
/// that it is unknown whether it was stored. Sending the same call again is safe.
class Error : public std::runtime_error {
 public:
  /// Details of a reason, such as the arm. The comment of each reason lists its keys.
  using Metadata = std::map<std::string, std::string>;

  /// Makes an error.
  Error(grpc::StatusCode code, std::string message, std::string reason = "", Metadata metadata = {},
        std::vector<RefusedEvent> refusals = {});

  /// Makes the error of a call whose status is not OK.
  [[nodiscard]] static Error from(const grpc::Status& status);

  /// Returns the canonical status code.
  [[nodiscard]] grpc::StatusCode code() const noexcept { return said_->code; }
  /// Returns the name of the code, such as NOT_FOUND.
  [[nodiscard]] std::string code_name() const;
  /// Returns the problem and its solution. what() has the code and the reason before it.
  [[nodiscard]] const std::string& message() const noexcept { return said_->message; }
  /// Returns the reason, such as STALE_ATTEMPT: the name of an ErrorReason without its prefix. Empty if the
  /// server gave none.
  [[nodiscard]] const std::string& reason() const noexcept { return said_->reason; }
  /// Returns whether the call failed for this reason.
  [[nodiscard]] bool is(v1::ErrorReason reason) const;
  /// Returns the details of the reason.
  [[nodiscard]] const Metadata& metadata() const noexcept { return said_->metadata; }
  /// Returns every rejected event of a Record call, in order. Empty for other calls.
  [[nodiscard]] const std::vector<RefusedEvent>& refusals() const noexcept { return said_->refusals; }

 private:
  struct Said {
    grpc::StatusCode code;
    std::string message;
    std::string reason;
    Metadata metadata;
    std::vector<RefusedEvent> refusals;
  };

  std::shared_ptr<const Said> said_;
};

/// Returns the name of a reason without its prefix, such as STALE_ATTEMPT.
[[nodiscard]] std::string reason_name(v1::ErrorReason reason);

}  // namespace podium
