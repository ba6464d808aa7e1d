// What an arm in your hands answers by itself. The vectors of the project say the rest.
#include <gtest/gtest.h>
#include <google/protobuf/any.pb.h>
#include <podium/podium.h>
#include <podium/v1/recording_service.pb.h>

#include <cmath>
#include <limits>
#include <type_traits>

namespace {

namespace v1 = podium::v1;

void add_row(v1::ArmResult& arm, const std::string& name, std::optional<std::int64_t> step, double value) {
  v1::EvalResult& row = *arm.add_evals();
  row.set_name(name);
  if (step) {
    row.set_step(*step);
  }
  (*row.mutable_metrics())["acc"] = value;
}

// A post-training row answers before in-loop rows, and a step is matched exactly.
TEST(Pure, EvalFindsRows) {
  v1::ArmResult arm;
  add_row(arm, "val", 0, 0.1);
  add_row(arm, "val", std::nullopt, 0.2);
  EXPECT_EQ(podium::eval(arm, "val"), &arm.evals(1));
  EXPECT_EQ(podium::eval(arm, "val", 0), &arm.evals(0));
  EXPECT_EQ(podium::eval(arm, "val", 1), nullptr);
  EXPECT_EQ(podium::eval(arm, "test"), nullptr);
}

// A score says where it came from, and NaN is one.
TEST(Pure, ScoreFindsNumbers) {
  v1::ArmResult arm;
  (*arm.mutable_metrics())["loss"] = 0.3;
  add_row(arm, "val", 7, std::numeric_limits<double>::quiet_NaN());
  const auto found = podium::find_score(arm, "val.acc");
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(std::isnan(found->value));
  EXPECT_EQ(found->source.origin(), v1::SCORE_ORIGIN_IN_LOOP_EVAL);
  EXPECT_EQ(found->source.step(), 7);
  EXPECT_EQ(podium::score(arm, "loss"), 0.3);
  EXPECT_EQ(podium::score(arm, "val.loss"), std::nullopt);
  EXPECT_EQ(podium::score(arm, "."), std::nullopt);
}

// An empty metric is an error that says so, without a server.
TEST(Pure, AnEmptyMetricIsRefused) {
  try {
    FAIL() << podium::score({}, "").has_value();
  } catch (const podium::Error& error) {
    EXPECT_EQ(error.code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_TRUE(error.is(v1::ERROR_REASON_NAME_INVALID));
    EXPECT_FALSE(error.is(v1::ERROR_REASON_FIELD_MISSING));
    EXPECT_EQ(error.metadata().at("field"), "metric");
    EXPECT_STREQ(error.what(), "INVALID_ARGUMENT (NAME_INVALID): metric must not be empty");
  }
}

// What was left empty reads as the primary eval's, and what was given stands.
TEST(Pure, ThePrimaryEvalIsMirrored) {
  v1::ArmResult arm;
  EXPECT_EQ(podium::effective_eval_seconds(arm), std::nullopt);
  add_row(arm, "val", std::nullopt, 0.2);
  EXPECT_EQ(podium::effective_eval_metrics(arm).at("acc"), 0.2);
  EXPECT_EQ(podium::effective_eval_seconds(arm), std::nullopt);
  arm.mutable_evals(0)->set_eval_seconds(0);
  EXPECT_EQ(podium::effective_eval_seconds(arm), 0.0);
  (*arm.mutable_eval_metrics())["acc"] = 0.9;
  EXPECT_EQ(podium::effective_eval_metrics(arm).at("acc"), 0.9);
  EXPECT_EQ(podium::score(arm, "acc"), 0.9);
}

// A refusal of a kind that this version does not know is final, and events stand in their order.
TEST(Pure, RefusalsAreRead) {
  v1::Refusals refusals;
  v1::Refusal& unknown = *refusals.add_refusals();
  unknown.set_kind(static_cast<v1::RefusalKind>(99));
  unknown.add_event_indexes(2);
  v1::Refusal& waiting = *refusals.add_refusals();
  waiting.set_kind(v1::REFUSAL_KIND_WAIT);
  waiting.add_event_indexes(1);
  google::protobuf::Any detail;
  detail.PackFrom(refusals);
  // google.rpc.Status has its details in field 3.
  const std::string bytes = detail.SerializeAsString();
  const std::string details = "\x1a" + std::string(1, static_cast<char>(bytes.size())) + bytes;
  const auto error = podium::Error::from({grpc::StatusCode::FAILED_PRECONDITION, "refused", details});
  ASSERT_EQ(error.refusals().size(), 2U);
  EXPECT_EQ(error.refusals()[0].index, 1U);
  EXPECT_FALSE(error.refusals()[0].permanent);
  EXPECT_TRUE(error.refusals()[1].permanent);
}

// An error is copied without throwing, as what is thrown has to be.
TEST(Pure, ErrorsAreCopied) { EXPECT_TRUE(std::is_nothrow_copy_constructible_v<podium::Error>); }

// Values are made of plain data, and integers stay integers.
TEST(Pure, ValuesAreMadeOfPlainData) {
  EXPECT_EQ(podium::value(4).int_value(), 4);
  EXPECT_EQ(podium::value(4.0).double_value(), 4.0);
  EXPECT_EQ(podium::value("x").string_value(), "x");
  EXPECT_EQ(podium::value(std::string("y")).string_value(), "y");
  EXPECT_TRUE(podium::value(true).bool_value());
  EXPECT_EQ(podium::value(nullptr).kind_case(), v1::Value::kNullValue);
}

// Lists and maps are made of plain data, and what a value holds is read as such.
TEST(Pure, ValuesAreReadAsPlainData) {
  const v1::Value map = podium::value(std::map<std::string, v1::Value>{
      {"rank", podium::value(4)}, {"names", podium::value(std::vector<std::string>{"a", "b"})}});
  const auto entries = podium::plain<std::map<std::string, v1::Value>>(map);
  ASSERT_TRUE(entries.has_value());
  EXPECT_EQ(podium::plain<std::int64_t>(entries->at("rank")), 4);
  EXPECT_EQ(podium::plain<double>(entries->at("rank")), std::nullopt);
  const auto names = podium::plain<std::vector<v1::Value>>(entries->at("names"));
  ASSERT_TRUE(names.has_value());
  EXPECT_EQ(podium::plain<std::string>(names->at(1)), "b");
  EXPECT_EQ(podium::plain<double>(podium::value(0.5)), 0.5);
  EXPECT_EQ(podium::plain<bool>(podium::value(false)), false);
  EXPECT_EQ(podium::plain<bool>(podium::value(nullptr)), std::nullopt);
  EXPECT_EQ(podium::value(std::vector<int>{}).kind_case(), v1::Value::kListValue);
}

// An address is HOST:PORT or unix:PATH and nothing else.
TEST(Pure, Addresses) {
  for (const char* good : {"localhost:50051", "127.0.0.1:1", "[::1]:2", "unix:/tmp/x"}) {
    EXPECT_NO_THROW(podium::Client{good}) << good;
  }
  for (const char* bad : {"", "localhost", ":1", "h:", "http://h:1", "h:1/x", "unix:", "a b:1"}) {
    EXPECT_THROW(podium::Client{bad}, std::invalid_argument) << bad;
  }
}

}  // namespace
