#include "retries.h"

#include <algorithm>
#include <random>
#include <string>

#include "details.h"

namespace podium {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kFirstPause = std::chrono::milliseconds(100);
constexpr nanoseconds kLongestPause = std::chrono::seconds(1);
/// Longer, since a watch has no time limit.
constexpr nanoseconds kLongestWatchPause = std::chrono::seconds(10);

/// Returns the delay that the server asks for, or zero.
nanoseconds retry_delay(const grpc::Status& status) {
  internal::RetryInfo info;
  const internal::Status details = details_of(status);
  for (const auto& detail : details.details()) {
    unpack(detail, "google.rpc.RetryInfo", info);
  }
  return std::chrono::seconds(info.retry_delay().seconds()) + nanoseconds(info.retry_delay().nanos());
}

double random_between(double least, double most) {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<>(least, most)(random);
}

}  // namespace

bool is_retried(const Error& error, bool is_repeatable) {
  return error.is(v1::ERROR_REASON_OVERLOADED) || error.is(v1::ERROR_REASON_QUOTA_EXCEEDED) ||
         error.is(v1::ERROR_REASON_SHUTTING_DOWN) ||
         (error.code() == grpc::StatusCode::UNAVAILABLE && is_repeatable);
}

nanoseconds pause_after(int attempt, const grpc::Status& status) {
  const nanoseconds asked = retry_delay(status);
  if (asked > nanoseconds::zero()) {
    return asked;
  }
  const nanoseconds pause = std::min(kLongestPause, kFirstPause * (1 << std::min(attempt, 10)));
  return std::chrono::duration_cast<nanoseconds>(pause * random_between(0.8, 1.2));
}

nanoseconds watch_pause_after(int attempt, const grpc::Status& status) {
  const nanoseconds longest = std::min(kLongestWatchPause, kFirstPause * (1 << std::min(attempt, 10)));
  const auto pause = std::chrono::duration_cast<nanoseconds>(longest * random_between(0, 1));
  return std::max(pause, retry_delay(status));
}

bool never_left(const std::string& message) {
  // gRPC reports it only by these texts.
  for (const char* text : {"failed to connect to all addresses", "connections to all backends failing",
                           "DNS resolution failed", "errors resolving "}) {
    if (message.rfind(text, 0) == 0) {
      return true;
    }
  }
  return false;
}

}  // namespace podium
