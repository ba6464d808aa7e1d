#include "podium/error.h"

#include <algorithm>
#include <array>
#include <utility>

#include "details.h"
#include "podium/v1/recording_service.pb.h"

namespace podium {
namespace {

constexpr char kDomain[] = "podium";
constexpr char kPrefix[] = "ERROR_REASON_";

// In the order of their numbers.
constexpr std::array<const char*, 17> kCodes = {
    "OK",           "CANCELLED",     "UNKNOWN",        "INVALID_ARGUMENT",  "DEADLINE_EXCEEDED",  "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL",     "UNAVAILABLE",    "DATA_LOSS",         "UNAUTHENTICATED"};

std::string name_of(grpc::StatusCode code) {
  const auto number = static_cast<std::size_t>(code);
  return number < kCodes.size() ? kCodes[number] : "UNKNOWN";
}

std::string what_of(grpc::StatusCode code, const std::string& reason, const std::string& message) {
  return name_of(code) + (reason.empty() ? "" : " (" + reason + ")") + ": " + message;
}

std::vector<RefusedEvent> refused_events(const v1::Refusals& refusals) {
  std::vector<RefusedEvent> events;
  for (const v1::Refusal& refusal : refusals.refusals()) {
    // An unknown kind counts as permanent: nothing says that waiting helps.
    const bool permanent = refusal.kind() != v1::REFUSAL_KIND_WAIT;
    for (const auto index : refusal.event_indexes()) {
      events.push_back({static_cast<std::size_t>(index), refusal.reason(), permanent, refusal.message()});
    }
  }
  const auto is_before = [](const RefusedEvent& a, const RefusedEvent& b) { return a.index < b.index; };
  std::stable_sort(events.begin(), events.end(), is_before);
  return events;
}

}  // namespace

Error::Error(grpc::StatusCode code, std::string message, std::string reason, Metadata metadata,
             std::vector<RefusedEvent> refusals)
    : std::runtime_error(what_of(code, reason, message)),
      said_(std::make_shared<const Said>(
          Said{code, std::move(message), std::move(reason), std::move(metadata), std::move(refusals)})) {}

Error Error::from(const grpc::Status& status) {
  internal::ErrorInfo info;
  v1::Refusals refusals;
  const internal::Status details = details_of(status);
  for (const auto& detail : details.details()) {
    internal::ErrorInfo found;
    if (unpack(detail, "google.rpc.ErrorInfo", found) && found.domain() == kDomain) {
      info = found;
    }
    unpack(detail, "podium.v1.Refusals", refusals);
  }
  return {status.error_code(), status.error_message(), info.reason(),
          Metadata(info.metadata().begin(), info.metadata().end()), refused_events(refusals)};
}

std::string Error::code_name() const { return name_of(code()); }

bool Error::is(v1::ErrorReason reason) const { return !this->reason().empty() && this->reason() == reason_name(reason); }

std::string reason_name(v1::ErrorReason reason) {
  const std::string name = v1::ErrorReason_Name(reason);
  return name.rfind(kPrefix, 0) == 0 ? name.substr(sizeof(kPrefix) - 1) : name;
}

}  // namespace podium
