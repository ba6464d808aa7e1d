/// Decides which calls are retried, and when.
#pragma once

#include <grpcpp/support/status.h>

#include <chrono>

#include "podium/error.h"

namespace podium {

/// Returns whether a failed call is retried: if the server rejected it before any work, or if no server answers
/// and repeating the call is safe.
bool is_retried(const Error& error, bool is_repeatable);

/// Returns the delay after a failed attempt, counted from 0. It is the delay that the server asks for, or else
/// doubles with each attempt, varied at random by up to 20 %.
std::chrono::nanoseconds pause_after(int attempt, const grpc::Status& status);

/// Returns the delay of a watch after a failed attempt: random, up to a limit that doubles with each attempt, so
/// that not all clients of a lost server reconnect at once. It is at least the delay that the server asks for.
std::chrono::nanoseconds watch_pause_after(int attempt, const grpc::Status& status);

/// Returns whether an error message means that the call was not sent, since there was no connection.
bool never_left(const std::string& message);

}  // namespace podium
