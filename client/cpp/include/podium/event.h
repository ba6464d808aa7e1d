/// Makes events. Their time is the current time of this machine.
#pragma once

#include "podium/v1/event.pb.h"

namespace podium {

/// Makes an event that creates the experiment, sets unset fields, or clears fields.
[[nodiscard]] v1::Event event(v1::ExperimentDeclared declared);
/// Makes an event that starts an attempt at training an arm.
[[nodiscard]] v1::Event event(v1::ArmStarted started);
/// Makes an event that records training metrics of an arm. The latest value of each key is kept.
[[nodiscard]] v1::Event event(v1::MetricsRecorded recorded);
/// Makes an event that records an eval row. It replaces a row with the same name and step.
[[nodiscard]] v1::Event event(v1::EvalRecorded recorded);
/// Makes an event that ends the training of an arm. A later end replaces an earlier one.
[[nodiscard]] v1::Event event(v1::ArmFinished finished);
/// Makes an event that records a whole arm. The stored arm becomes equal to it.
[[nodiscard]] v1::Event event(v1::ArmRecorded recorded);
/// Makes an event that stores the conclusion. It replaces an earlier one.
[[nodiscard]] v1::Event event(v1::ExperimentConcluded concluded);
/// Makes an event that uses a sequence number of its stream and does nothing.
[[nodiscard]] v1::Event event(v1::Skipped skipped);

}  // namespace podium
