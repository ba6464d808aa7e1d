// The client against the server that PODIUM_ADDRESS names.
#include <gtest/gtest.h>
#include <podium/podium.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>

namespace {

namespace v1 = podium::v1;

podium::Client client() {
  if (std::getenv("PODIUM_ADDRESS") == nullptr) {
    throw std::runtime_error("PODIUM_ADDRESS names a server: start one with `podium serve`");
  }
  return {};
}

/// A new experiment, declared.
podium::Experiment experiment(const std::string& name) {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  auto made = client().experiment("cpp_tests/" + std::to_string(now) + "/" + name);
  v1::ExperimentDeclared declared;
  declared.set_success_metric("acc");
  made.declare(declared);
  return made;
}

v1::EvalResult row(const std::string& name, std::optional<std::int64_t> step, double value) {
  v1::EvalResult made;
  made.set_name(name);
  if (step) {
    made.set_step(*step);
  }
  (*made.mutable_metrics())["acc"] = value;
  return made;
}

v1::ArmResult arm(const std::string& name, const std::vector<v1::EvalResult>& rows) {
  v1::ArmResult made;
  made.set_name(name);
  made.mutable_run_config()->set_name(name);
  made.set_status(v1::ARM_STATUS_COMPLETED);
  *made.mutable_evals() = {rows.begin(), rows.end()};
  return made;
}

v1::Event metrics_of(const std::string& arm) {
  v1::MetricsRecorded recorded;
  recorded.set_arm(arm);
  (*recorded.mutable_metrics())["loss"] = 0.5;
  return podium::event(recorded);
}

template <class Call>
podium::Error error_of(Call call) {
  try {
    call();
  } catch (const podium::Error& error) {
    return error;
  }
  return {grpc::StatusCode::OK, "no error"};
}

// What was recorded is answered: rows, scores, nothing, and the arm as a whole.
TEST(Server, RecordsAndAsks) {
  const auto asked = experiment("asks");
  asked.record_arm(arm("a", {row("val", 0, 0.1), row("val", 9, 0.2)}));
  const podium::Arm handle = asked.arm("a");
  std::map<std::string, double> metrics;
  metrics["loss"] = std::numeric_limits<double>::quiet_NaN();
  handle.log(metrics);
  handle.log_eval(row("test", std::nullopt, -0.0));

  EXPECT_EQ(handle.eval("val")->step(), 9);
  EXPECT_EQ(handle.eval("val", 0)->metrics().at("acc"), 0.1);
  EXPECT_EQ(handle.eval("val", 1), std::nullopt);
  EXPECT_TRUE(std::signbit(handle.score("acc").value()));
  EXPECT_TRUE(std::isnan(handle.score("loss").value()));
  EXPECT_EQ(handle.score("nothing"), std::nullopt);
  const v1::ArmResult snapshot = handle.get();
  EXPECT_EQ(snapshot.evals_size(), 3);
  EXPECT_EQ(podium::score(snapshot, "val.acc"), 0.2);
  EXPECT_EQ(asked.get().arm_counts().completed(), 1);
}

// An arm whose rows fill several pages is read as a whole.
TEST(Server, ReadsEveryPageOfAnArm) {
  const auto paged = experiment("pages");
  paged.record_arm(arm("a", {}));
  for (int batch = 0; batch < 3; ++batch) {
    std::vector<v1::Event> events;
    for (int step = batch * 1000; step < (batch + 1) * 1000; ++step) {
      v1::EvalRecorded recorded;
      recorded.set_arm("a");
      *recorded.mutable_eval_result() = row("val", step, 0.0);
      recorded.mutable_eval_result()->set_benchmark_id(std::string(250, 'x'));
      for (int tag = 0; tag < 4; ++tag) {
        recorded.mutable_eval_result()->add_tags(std::string(200, 'x'));
      }
      events.push_back(podium::event(recorded));
    }
    paged.record(events);
  }
  const v1::ArmResult found = paged.arm("a").get();
  ASSERT_EQ(found.evals_size(), 3000);
  for (int index = 0; index < 3000; ++index) {
    ASSERT_EQ(found.evals(index).step(), index);
  }
  v1::ListEvalsRequest some;
  some.set_min_step(10);
  some.set_max_step(12);
  some.set_page_size(2);
  std::vector<std::int64_t> steps;
  for (const v1::EvalResult& listed : paged.arm("a").evals(some)) {
    steps.push_back(listed.step());
  }
  EXPECT_EQ(steps, (std::vector<std::int64_t>{10, 11, 12}));
}

// Lists go through all of their pages, and a ranking is whole or its first places.
TEST(Server, ListsAndRanks) {
  const auto listed = experiment("lists");
  listed.record_arm(arm("a", {row("test", std::nullopt, 0.1)}));
  listed.record_arm(arm("b", {row("test", std::nullopt, 0.3)}));
  listed.record_arm(arm("c", {row("test", std::nullopt, 0.2)}));
  v1::ListArmsRequest in_twos;
  in_twos.set_page_size(2);
  std::string names;
  for (const v1::ArmSummary& summary : listed.arms(in_twos)) {
    names += summary.name();
  }
  EXPECT_EQ(names, "abc");

  v1::ListExperimentsRequest this_one;
  this_one.set_name_prefix(listed.name());
  EXPECT_EQ(client().experiments(this_one).all().size(), 1U);

  const v1::RankResponse ranking = listed.rank();
  ASSERT_EQ(ranking.arms_size(), 3);
  EXPECT_EQ(ranking.arms(0).arm() + ranking.arms(1).arm() + ranking.arms(2).arm(), "bca");
  EXPECT_EQ(ranking.arms(2).rank(), 3);
  EXPECT_EQ(listed.rank({}, 1).arms_size(), 1);
  v1::RankRequest groups;
  groups.set_by_group(true);
  EXPECT_EQ(listed.rank(groups, 2).groups_size(), 2);
}

// Errors carry their code, reason, metadata and every refused event.
TEST(Server, ErrorsSayWhy) {
  const auto refusing = experiment("errors");
  const podium::Error unknown = error_of([&] { return refusing.arm("nobody").eval("val"); });
  EXPECT_EQ(unknown.code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(unknown.reason(), "ARM_NOT_FOUND");
  EXPECT_EQ(unknown.metadata().at("arm"), "nobody");

  const podium::Error refused =
      error_of([&] { refusing.record({metrics_of("nobody"), metrics_of("")}); });
  ASSERT_EQ(refused.refusals().size(), 2U);
  EXPECT_EQ(refused.refusals()[0].reason, "ARM_NOT_FOUND");
  EXPECT_FALSE(refused.refusals()[0].permanent);
  EXPECT_EQ(refused.refusals()[1].index, 1U);
  EXPECT_EQ(refused.refusals()[1].reason, "NAME_INVALID");
  EXPECT_TRUE(refused.refusals()[1].permanent);

  const podium::Error nowhere = error_of([&] { return client().experiment("nowhere").arms().all(); });
  EXPECT_EQ(nowhere.reason(), "EXPERIMENT_NOT_FOUND");
}

// A cancellation ends its own calls: none that has ended before, and none of another one's.
TEST(Server, CallsAreCancelled) {
  const auto asked = experiment("cancels");
  const podium::Cancellation early;
  EXPECT_NO_THROW((void)client().with_cancellation(early).experiment(asked.name()).get());
  early.cancel();
  EXPECT_NO_THROW((void)asked.get());
  const podium::Cancellation other;
  EXPECT_NO_THROW((void)client().with_cancellation(other).experiment(asked.name()).get());
  EXPECT_FALSE(other.is_cancelled());
  const podium::Error cancelled =
      error_of([&] { (void)client().with_cancellation(early).experiment(asked.name()).get(); });
  EXPECT_EQ(cancelled.code(), grpc::StatusCode::CANCELLED) << cancelled.what();
}

// A call with a position is applied once, and what is deleted is gone.
TEST(Server, StreamsAndDeletions) {
  const auto streamed = experiment("streams");
  streamed.record_arm(arm("a", {}));
  v1::StreamPosition position;
  position.set_writer_id("writer");
  position.set_first_sequence(1);
  const std::vector<v1::Event> events = {metrics_of("a")};
  EXPECT_EQ(streamed.record(events, position).skipped_events(), 0);
  EXPECT_EQ(streamed.record(events, position).skipped_events(), 1);
  streamed.arm("a").remove();
  EXPECT_EQ(error_of([&] { return streamed.arm("a").get(); }).reason(), "ARM_NOT_FOUND");
  streamed.remove();
  EXPECT_EQ(error_of([&] { return streamed.get(); }).reason(), "EXPERIMENT_NOT_FOUND");
  EXPECT_NO_THROW(streamed.remove(true));
}

}  // namespace
