/// Events are made of what they tell, and happen now by this machine's clock.
#pragma once

#include "podium/v1/event.pb.h"

namespace podium {

v1::Event event(v1::ExperimentDeclared declared);
v1::Event event(v1::ArmStarted started);
v1::Event event(v1::MetricsRecorded recorded);
v1::Event event(v1::EvalRecorded recorded);
v1::Event event(v1::ArmFinished finished);
v1::Event event(v1::ArmRecorded recorded);
v1::Event event(v1::ExperimentConcluded concluded);
v1::Event event(v1::Skipped skipped);

}  // namespace podium
