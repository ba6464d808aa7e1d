// Attempts against the server that PODIUM_ADDRESS names.
#include <gtest/gtest.h>
#include <podium/podium.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

namespace v1 = podium::v1;

/// A client, and a new experiment, declared.
struct Place {
  explicit Place(const std::string& name)
      : experiment(client.experiment(
            "cpp_tests/" + std::to_string(std::chrono::system_clock::now().time_since_epoch().count()) + "/" + name)) {
    experiment.declare();
  }

  v1::ArmResult arm() const { return experiment.arm("lora").get(); }

  podium::Client client;
  podium::Experiment experiment;
};

v1::RunConfig config() {
  v1::RunConfig config;
  config.set_name("lora");
  return config;
}

v1::ArmStarted order(std::int64_t number) {
  v1::ArmStarted options;
  options.mutable_attempt()->set_order(number);
  return options;
}

v1::EvalResult row(std::int64_t step) {
  v1::EvalResult row;
  row.set_name("val");
  row.set_step(step);
  (*row.mutable_metrics())["acc"] = 0.25;
  return row;
}

template <class Call>
std::string reason_of(Call call) {
  try {
    call();
  } catch (const podium::Error& error) {
    return error.reason();
  }
  return "no error";
}

// An attempt records metrics with and without a step, rows and its end.
TEST(Attempt, IsRecorded) {
  const Place place("recorded");
  const podium::ArmRun run = place.experiment.start_arm(config());
  run.log({{"loss", 0.5}}, 100);
  run.log({{"tokens", 7}});
  run.log_eval(row(100));
  EXPECT_EQ(run.arm().get().status(), v1::ARM_STATUS_RUNNING);
  v1::ArmFinished end;
  end.set_status(v1::ARM_STATUS_COMPLETED);
  end.set_train_seconds(1.5);
  run.finish(end);

  const v1::ArmResult arm = place.arm();
  EXPECT_EQ(arm.status(), v1::ARM_STATUS_COMPLETED);
  EXPECT_EQ(arm.metrics().at("loss"), 0.5);
  EXPECT_EQ(arm.metrics().at("tokens"), 7);
  EXPECT_EQ(arm.train_seconds(), 1.5);
  EXPECT_EQ(podium::score(arm, "val.acc"), 0.25);
  EXPECT_EQ(arm.attempt().id(), run.attempt_id());
  v1::ListSeriesRequest request;
  request.set_experiment(place.experiment.name());
  request.set_arm("lora");
  const v1::ListSeriesResponse listed = place.client.calls().list_series(request);
  ASSERT_EQ(listed.series_size(), 1);
  EXPECT_EQ(listed.series(0).key(), "loss");
  EXPECT_EQ(listed.series(0).steps(0), 100);
}

// A second attempt continues after a step or from the beginning, and the first is stale then.
TEST(Attempt, FollowsAnother) {
  const Place place("attempts");
  const podium::ArmRun first = place.experiment.start_arm(config(), order(1));
  first.log_eval(row(0));
  first.log_eval(row(100));
  v1::ArmStarted resumed = order(2);
  resumed.set_resume_step(50);
  const podium::ArmRun second = place.experiment.start_arm(config(), resumed);
  EXPECT_EQ(reason_of([&] { first.log_eval(row(200)); }), "STALE_ATTEMPT");
  EXPECT_EQ(place.arm().evals_size(), 1);
  second.finish();
  v1::ArmStarted restarted = order(3);
  restarted.set_restart(true);
  const podium::ArmRun third = place.experiment.start_arm(config(), restarted);
  EXPECT_EQ(third.arm().get().evals_size(), 0);
}

// After a call that was refused the attempt goes on, and threads that share it do not collide.
TEST(Attempt, GoesOn) {
  const Place place("goes_on");
  const podium::ArmRun run = place.experiment.start_arm(config());
  EXPECT_EQ(reason_of([&] { run.log_eval({}); }), "NAME_INVALID");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([run, thread] {
      for (int step = 0; step < 5; ++step) {
        run.log_eval(row(5 * thread + step));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(place.arm().evals_size(), 20);
}

// A block completes its arm, unless it has recorded another end.
TEST(Attempt, BlocksThatReturn) {
  const Place place("returns");
  place.experiment.run_arm(config(), order(1), [](const podium::ArmRun& run) { run.log({{"loss", 0.5}}); });
  EXPECT_EQ(place.arm().status(), v1::ARM_STATUS_COMPLETED);
  v1::ArmStarted again = order(2);
  again.set_restart(true);
  place.experiment.run_arm(config(), again,
                           [](const podium::ArmRun& run) { run.finish(v1::ARM_STATUS_CANCELLED); });
  EXPECT_EQ(place.arm().status(), v1::ARM_STATUS_CANCELLED);
}

// A block that throws fails its arm, and the exception goes on.
TEST(Attempt, BlocksThatThrow) {
  const Place place("throws");
  const auto train = [](const podium::ArmRun&) { throw std::runtime_error("out of memory"); };
  EXPECT_THROW(place.experiment.run_arm(config(), order(1), train), std::runtime_error);
  EXPECT_EQ(place.arm().status(), v1::ARM_STATUS_FAILED);
  EXPECT_EQ(place.arm().error(), "out of memory");
  const auto odd = [](const podium::ArmRun&) { throw 7; };
  EXPECT_THROW(place.experiment.run_arm(config(), order(2), odd), int);
  EXPECT_EQ(place.arm().error(), "the training threw what is not a std::exception");
}

// An attempt whose last handle goes without an end is failed; one with an end keeps it.
TEST(Attempt, Dropped) {
  const Place place("dropped");
  {
    const podium::ArmRun run = place.experiment.start_arm(config(), order(1));
    { const podium::ArmRun copy = run; }
    EXPECT_EQ(place.arm().status(), v1::ARM_STATUS_RUNNING);
  }
  EXPECT_EQ(place.arm().status(), v1::ARM_STATUS_FAILED);
  EXPECT_EQ(place.arm().error(), "the training ended without finish()");
  place.experiment.start_arm(config(), order(2)).finish();
  EXPECT_EQ(place.arm().status(), v1::ARM_STATUS_COMPLETED);
}

// A block whose calls are cancelled records that its arm was.
TEST(Attempt, BlocksThatAreCancelled) {
  const Place place("cancelled");
  const podium::Cancellation cancellation;
  const podium::Client client = place.client.with_cancellation(cancellation);
  const auto train = [&](const podium::ArmRun& run) {
    cancellation.cancel();
    run.log({{"loss", 0.5}});
  };
  EXPECT_THROW(client.experiment(place.experiment.name()).run_arm(config(), order(1), train), podium::Error);
  EXPECT_EQ(place.arm().status(), v1::ARM_STATUS_CANCELLED);
}

}  // namespace
