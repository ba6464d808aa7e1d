/// Splits arms that are larger than one call allows.
#pragma once

#include <vector>

#include "podium/v1/arm_result.pb.h"
#include "podium/v1/event.pb.h"

namespace podium {

/// Returns the events of each call that records a whole arm: the arm with its first rows, then the other rows.
std::vector<std::vector<v1::Event>> in_calls(const v1::ArmResult& arm, bool replace);

}  // namespace podium
