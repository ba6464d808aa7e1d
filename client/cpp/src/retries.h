/// Which calls are made again, and when.
#pragma once

#include <grpcpp/support/status.h>

#include <chrono>

#include "podium/error.h"

namespace podium {

/// Returns whether a call that failed is made again: if the server refused it before working on it, or if no
/// server answers and repeating the call changes nothing.
bool is_retried(const Error& error, bool is_repeatable);

/// How long to wait after a failed attempt, counted from 0: as long as the server asks for, else twice
/// as long each time, within a fifth.
std::chrono::nanoseconds pause_after(int attempt, const grpc::Status& status);

/// How long a watch waits after a failed attempt: any time up to twice as long each time, so that clients that
/// lost a server together do not return together, and at least as long as the server asks for.
std::chrono::nanoseconds watch_pause_after(int attempt, const grpc::Status& status);

/// Whether the call was not even sent: there was no connection to send it over.
bool never_left(const grpc::Status& status);

}  // namespace podium
