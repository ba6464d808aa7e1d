/// What can go wrong.
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

/// One refused event of a Record call.
struct RefusedEvent {
  /// The index of the event in the call, from 0.
  std::size_t index;
  /// Why it was refused, such as STALE_ATTEMPT: the name of an ErrorReason without its prefix.
  std::string reason;
  /// Whether it will never be accepted as it is; else what it needs may still come.
  bool permanent;
  /// What was wrong and what would be right, said of the first event refused for the reason.
  std::string message;
};

/// A call to Podium failed. A write that failed changed nothing, unless no answer came: the message
/// then says that the outcome is unknown. Sending the same call again is safe. To copy it throws nothing.
class Error : public std::runtime_error {
 public:
  /// The particulars of a reason, such as the arm: the reasons' comments name the keys.
  using Metadata = std::map<std::string, std::string>;

  /// An error that says all this.
  Error(grpc::StatusCode code, std::string message, std::string reason = "", Metadata metadata = {},
        std::vector<RefusedEvent> refusals = {});

  /// The error of a call whose status is not OK.
  [[nodiscard]] static Error from(const grpc::Status& status);

  /// The canonical status code.
  [[nodiscard]] grpc::StatusCode code() const noexcept { return said_->code; }
  /// The name of the code as the protocol writes it, such as NOT_FOUND.
  [[nodiscard]] std::string code_name() const;
  /// What was wrong and what would be right; what() says the code and the reason before it.
  [[nodiscard]] const std::string& message() const noexcept { return said_->message; }
  /// Why exactly, such as STALE_ATTEMPT: the name of an ErrorReason without its prefix. Empty where
  /// nobody said.
  [[nodiscard]] const std::string& reason() const noexcept { return said_->reason; }
  /// Whether the call failed for this reason.
  [[nodiscard]] bool is(v1::ErrorReason reason) const;
  /// The particulars of the reason.
  [[nodiscard]] const Metadata& metadata() const noexcept { return said_->metadata; }
  /// Every refused event of a Record call, in their order; empty for other calls.
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

/// The name of a reason without its prefix, such as STALE_ATTEMPT.
[[nodiscard]] std::string reason_name(v1::ErrorReason reason);

}  // namespace podium
