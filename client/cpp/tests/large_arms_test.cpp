// Arms that are larger than a call allows, at the server that PODIUM_ADDRESS names.
#include <gtest/gtest.h>
#include <podium/podium.h>

#include <chrono>

namespace {

namespace v1 = podium::v1;

v1::EvalResult* add_row(v1::ArmResult& arm, const std::string& name, double accuracy) {
  v1::EvalResult* row = arm.add_evals();
  row->set_name(name);
  (*row->mutable_metrics())["acc"] = accuracy;
  return row;
}

// An arm with more rows than a call carries is recorded whole, in order, and again.
TEST(LargeArms, AreRecordedInSeveralCalls) {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  const podium::Experiment experiment = podium::Client().experiment("cpp_tests/" + std::to_string(now) + "/large");
  experiment.declare();
  v1::ArmResult arm;
  arm.set_name("a");
  arm.mutable_run_config()->set_name("a");
  arm.set_status(v1::ARM_STATUS_COMPLETED);
  for (int step = 0; step < 12'500; ++step) {
    add_row(arm, "val", step)->set_step(step);
  }
  add_row(arm, "test", 0.5);
  add_row(arm, "val", 7)->set_step(0);  // Repeats an earlier row, which counts.
  const v1::RecordResponse response = experiment.record_arm(arm);
  EXPECT_EQ(response.revision(), 5);
  EXPECT_EQ(response.changed_events(), 2'502);

  const v1::ArmResult found = experiment.arm("a").get();
  ASSERT_EQ(found.evals_size(), 12'501);
  for (int step = 0; step < 12'500; ++step) {
    ASSERT_EQ(found.evals(step).step(), step);
    ASSERT_EQ(found.evals(step).metrics().at("acc"), step);
  }
  experiment.record_arm(found);  // As the server returned it: with the fields of its primary eval.
  EXPECT_EQ(experiment.arm("a").get().evals_size(), 12'501);
}

}  // namespace
