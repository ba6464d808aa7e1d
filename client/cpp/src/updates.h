/// Merges the messages of an update of a watch.
#pragma once

#include "podium/v1/results_service.pb.h"

namespace podium {

/// Adds a message to the update that it is a part of. Its removals also delete parts that an earlier message has added.
void merge(v1::WatchResponse& update, const v1::WatchResponse& response);

}  // namespace podium
