// Watches of the server that PODIUM_ADDRESS names. What follows an interruption is in tests/conformance.
#include <gtest/gtest.h>
#include <podium/podium.h>

#include <chrono>
#include <future>

namespace {

namespace v1 = podium::v1;

podium::Experiment declared(const podium::Client& client, const std::string& name) {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  podium::Experiment experiment = client.experiment("cpp_tests/" + std::to_string(now) + "/" + name);
  experiment.declare();
  return experiment;
}

v1::EvalResult row(std::int64_t step) {
  v1::EvalResult row;
  row.set_name("val");
  row.set_step(step);
  (*row.mutable_metrics())["acc"] = 0.25;
  return row;
}

v1::ArmResult arm(const std::string& name) {
  v1::ArmResult arm;
  arm.set_name(name);
  arm.mutable_run_config()->set_name(name);
  arm.set_status(v1::ARM_STATUS_COMPLETED);
  return arm;
}

// A watch has the state, then each change, and at last that the experiment was deleted.
TEST(Watch, HasEachChange) {
  const podium::Client client;
  const podium::Experiment experiment = declared(client, "changes");
  experiment.record_arm(arm("a"));
  podium::Watch watch = experiment.watch();
  auto update = watch.next();
  ASSERT_TRUE(update);
  EXPECT_EQ(update->arms_size(), 1);
  EXPECT_EQ(update->evals_size(), 0);
  experiment.arm("a").log_eval(row(1));
  update = watch.next();
  ASSERT_TRUE(update);
  EXPECT_EQ(update->evals_size(), 1);

  v1::WatchRequest later;
  later.set_after_revision(update->marker().revision());
  later.set_epoch(update->marker().epoch());
  experiment.record_arm(arm("b"));
  const auto next = experiment.watch(later).next();
  ASSERT_TRUE(next);
  ASSERT_EQ(next->arms_size(), 1);
  EXPECT_EQ(next->arms(0).arm().name(), "b");

  experiment.remove();
  do {
    update = watch.next();
    ASSERT_TRUE(update);
  } while (!update->deleted());
  EXPECT_FALSE(watch.next());
}

// An experiment that does not exist is an error, and it ends the watch.
TEST(Watch, MissingExperiment) {
  podium::Watch watch = podium::Client().experiment("missing").watch();
  try {
    (void)watch.next();
    FAIL() << "no error";
  } catch (const podium::Error& error) {
    EXPECT_EQ(error.reason(), "EXPERIMENT_NOT_FOUND");
  }
  EXPECT_FALSE(watch.next());
}

// To cancel a watch from another thread ends it, and no other call of the client.
TEST(Watch, IsCancelled) {
  const podium::Client client;
  const podium::Experiment experiment = declared(client, "cancelled");
  podium::Watch watch = experiment.watch();
  podium::Watch other = experiment.watch();
  ASSERT_TRUE(watch.next());
  ASSERT_TRUE(other.next());
  auto ended = std::async(std::launch::async, [&] { return watch.next(); });
  watch.cancel();
  EXPECT_FALSE(ended.get());
  EXPECT_FALSE(watch.next());
  experiment.record_arm(arm("a"));
  EXPECT_EQ(other.next()->arms_size(), 1);
}

// The cancellation of a client ends its watches with an error.
TEST(Watch, IsCancelledWithItsClient) {
  const podium::Cancellation cancellation;
  const podium::Client client = podium::Client().with_cancellation(cancellation);
  podium::Watch watch = declared(client, "cancelled_client").watch();
  ASSERT_TRUE(watch.next());
  auto failed = std::async(std::launch::async, [&] {
    try {
      return watch.next() ? grpc::StatusCode::OK : grpc::StatusCode::UNKNOWN;
    } catch (const podium::Error& error) {
      return error.code();
    }
  });
  cancellation.cancel();
  EXPECT_EQ(failed.get(), grpc::StatusCode::CANCELLED);
}

}  // namespace
