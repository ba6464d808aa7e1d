/// How the entries of a plan are gone through.
#pragma once

#include <podium/podium.h>

#include <string>

#include "json.h"
#include "messages.h"

namespace conformance {

/// Records the arm of a case, asks the server, and reads the arm back; or has the arm refused.
Verdict read_over_the_wire(const podium::Experiment& experiment, const Json& vector);

/// Asks the pure functions about the arm of a case.
Verdict read_purely(const Json& vector);

/// Makes every call of a case in an experiment that is the case's own.
Verdict write(const podium::Calls& calls, const std::string& experiment, const Json& vector);

/// Records the arms of a case, and has the client rank them.
Verdict rank(const podium::Experiment& experiment, const Json& vector);

/// Records an arm for the other languages.
Verdict exchange_write(const podium::Experiment& experiment, const Json& arm);

/// Holds what the server has against an arm that another language recorded.
Verdict exchange_read(const podium::Experiment& experiment, const Json& arm);

}  // namespace conformance
