/// Events are made of what they tell, and happen now by this machine's clock.
#pragma once

#include "podium/v1/event.pb.h"

namespace podium {

/// Creates the experiment, or fills those of its fields that are still unset.
[[nodiscard]] v1::Event event(v1::ExperimentDeclared declared);
/// Begins an attempt at training an arm: the arm is running.
[[nodiscard]] v1::Event event(v1::ArmStarted started);
/// Adds training metrics to an arm: the latest value of each key counts.
[[nodiscard]] v1::Event event(v1::MetricsRecorded recorded);
/// Adds an eval row to an arm; a row of the same name and step is replaced.
[[nodiscard]] v1::Event event(v1::EvalRecorded recorded);
/// Says how an arm's training ended. Said again, the last one counts as a whole.
[[nodiscard]] v1::Event event(v1::ArmFinished finished);
/// Records a whole arm at once: the arm becomes equal to it.
[[nodiscard]] v1::Event event(v1::ArmRecorded recorded);
/// Stores what was found out. The last one counts.
[[nodiscard]] v1::Event event(v1::ExperimentConcluded concluded);
/// Takes a sequence number of its stream and does nothing.
[[nodiscard]] v1::Event event(v1::Skipped skipped);

}  // namespace podium
