// The same arm, recorded from each language, reads back equal from all of them.
#include "cases.h"

namespace conformance {

Verdict exchange_write(const podium::Experiment& experiment, const Json& arm) {
  experiment.declare();
  experiment.record_arm(parsed<podium::v1::ArmResult>(arm));
  return std::nullopt;
}

Verdict exchange_read(const podium::Experiment& experiment, const Json& arm) {
  const auto expected = parsed<podium::v1::ArmResult>(arm);
  podium::v1::ArmResult found = experiment.arm(expected.name()).get();
  clear_output_only(found);
  return equal(found, expected);
}

}  // namespace conformance
