#include "large_arms.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <utility>

#include "podium/event.h"
#include "podium/scoring.h"

namespace podium {
namespace {

using Calls = std::vector<std::vector<v1::Event>>;

// The default limits of a call. 128 KiB are left for the names around the events.
constexpr std::size_t kCallEvents = 1'000;
constexpr std::size_t kCallMetrics = 10'000;
constexpr std::size_t kCallBytes = (4U << 20U) - (128U << 10U);
/// The bytes of a field's number and length.
constexpr std::size_t kFrameBytes = 6;

/// The amounts in a call that have limits.
struct Load {
  std::size_t events;
  std::size_t metrics;
  std::size_t bytes;

  void add(const Load& other) {
    events += other.events;
    metrics += other.metrics;
    bytes += other.bytes;
  }

  [[nodiscard]] bool fits() const {
    return events <= kCallEvents && metrics <= kCallMetrics && bytes <= kCallBytes;
  }
};

/// Returns the load of a row in an arm. A row without metrics counts as a row with one.
Load load_of(const v1::EvalResult& row) {
  return {0, std::max<std::size_t>(1, row.metrics().size()), row.ByteSizeLong() + kFrameBytes};
}

Load load_of(const v1::Event& event, std::size_t metrics) { return {1, metrics, event.ByteSizeLong() + kFrameBytes}; }

/// Returns the rows without those that repeat the name and step of an earlier one.
std::vector<v1::EvalResult> distinct(const v1::ArmResult& arm) {
  std::set<std::pair<std::string, std::optional<std::int64_t>>> seen;
  std::vector<v1::EvalResult> rows;
  for (const v1::EvalResult& row : arm.evals()) {
    if (seen.emplace(row.name(), row.has_step() ? std::optional(row.step()) : std::nullopt).second) {
      rows.push_back(row);
    }
  }
  return rows;
}

/// Clears the eval fields of an arm that repeat its primary eval. The first call may not contain the row of that
/// eval, and the server rejects fields without it.
void clear_mirrors(v1::ArmResult& arm, const v1::EvalResult* primary) {
  v1::EvalResult own;
  v1::EvalResult given;
  own.set_eval_seconds(0);
  if (primary != nullptr) {
    *own.mutable_metrics() = primary->metrics();
    *own.mutable_breakdowns() = primary->breakdowns();
    own.set_eval_seconds(primary->eval_seconds());
  }
  *given.mutable_metrics() = arm.eval_metrics();
  *given.mutable_breakdowns() = arm.eval_breakdowns();
  given.set_eval_seconds(arm.has_eval_seconds() ? arm.eval_seconds() : own.eval_seconds());
  google::protobuf::util::MessageDifferencer differencer;
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differencer.set_field_comparator(&comparator);
  if (differencer.Compare(given, own)) {
    arm.clear_eval_metrics();
    arm.clear_eval_breakdowns();
    arm.clear_eval_seconds();
  }
}

/// Returns an event for each row of an arm from an index on, in calls.
Calls rows_in_calls(const v1::Event& whole, const std::vector<v1::EvalResult>& rows, std::size_t from) {
  Calls calls;
  Load total{kCallEvents, 0, 0};
  for (std::size_t place = from; place < rows.size(); ++place) {
    v1::EvalRecorded recorded;
    recorded.set_arm(whole.arm_recorded().arm_result().name());
    *recorded.mutable_eval_result() = rows[place];
    v1::Event row = event(std::move(recorded));
    *row.mutable_event_time() = rows[place].has_event_time() ? rows[place].event_time() : whole.event_time();
    const Load own = load_of(row, rows[place].metrics().size());
    total.add(own);
    if (!total.fits()) {
      calls.emplace_back();
      total = own;
    }
    calls.back().push_back(std::move(row));
  }
  return calls;
}

}  // namespace

std::vector<std::vector<v1::Event>> in_calls(const v1::ArmResult& arm, bool replace) {
  v1::ArmRecorded recorded;
  *recorded.mutable_arm_result() = arm;
  recorded.set_replace(replace);
  const v1::Event whole = event(std::move(recorded));
  const std::vector<v1::EvalResult> rows = distinct(arm);

  v1::Event head = whole;
  v1::ArmResult& first = *head.mutable_arm_recorded()->mutable_arm_result();
  first.clear_evals();
  clear_mirrors(first, primary_eval(arm));
  Load total = load_of(head, arm.metrics().size() + first.eval_metrics().size() + arm.run_result().metrics().size());
  std::size_t count = 0;
  for (; count < rows.size(); ++count) {
    total.add(load_of(rows[count]));
    if (!total.fits()) {
      break;
    }
    *first.add_evals() = rows[count];
  }
  if (count == rows.size()) {
    return {{whole}};
  }
  Calls calls = rows_in_calls(whole, rows, count);
  calls.insert(calls.begin(), {std::move(head)});
  return calls;
}

}  // namespace podium
