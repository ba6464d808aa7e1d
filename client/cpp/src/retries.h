/// Which calls are made again, and when.
#pragma once

#include <grpcpp/support/status.h>

#include <chrono>

#include "podium/error.h"

namespace podium {

/// Whether a call that failed is made again. Reads are, while no server answers. An overloaded server
/// refuses a call before it does anything, so writes are repeated then, too.
bool is_retried(const Error& error, bool is_write);

/// How long to wait after a failed attempt, counted from 0: as long as the server asks for, else twice
/// as long each time, within a fifth.
std::chrono::nanoseconds pause_after(int attempt, const grpc::Status& status);

/// Whether the call was not even sent: there was no connection to send it over.
bool never_left(const grpc::Status& status);

}  // namespace podium
