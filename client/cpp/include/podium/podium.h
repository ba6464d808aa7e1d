/// Client of Podium, the results service of machine-learning experiments: everything in one header.
#pragma once

#include "podium/arm_run.h"
#include "podium/cancellation.h"
#include "podium/client.h"
#include "podium/error.h"
#include "podium/event.h"
#include "podium/handles.h"
#include "podium/scoring.h"
#include "podium/security.h"
#include "podium/value.h"
#include "podium/watch.h"
