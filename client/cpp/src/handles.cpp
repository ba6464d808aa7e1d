#include "podium/handles.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "large_arms.h"
#include "podium/error.h"
#include "podium/event.h"

namespace podium {
namespace {

constexpr int kAttempts = 5;
constexpr int kLargestPage = 1000;

/// Reads data by several calls until it did not change between them. `read` returns nothing if it did.
template <class Read>
auto in_one_state(const std::string& what, Read read) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (auto found = read()) {
      return *std::move(found);
    }
  }
  throw Error(grpc::StatusCode::ABORTED, what + " changed " + std::to_string(kAttempts) +
                                             " times while it was read: it is too busy to be read as a whole; "
                                             "try again, or ask for less");
}

/// Removes the items after the first `top` ones.
template <class Items>
void cut(Items& items, int top) {
  while (items.size() > top) {
    items.RemoveLast();
  }
}

v1::RecordResponse record_one(const Calls& calls, const std::string& experiment, v1::Event event) {
  v1::RecordRequest request;
  request.set_experiment(experiment);
  *request.add_events() = std::move(event);
  return calls.record(request);
}

}  // namespace

Arm::Arm(std::shared_ptr<const Calls> calls, std::string experiment, std::string name)
    : calls_(std::move(calls)), experiment_(std::move(experiment)), name_(std::move(name)) {}

std::optional<v1::EvalResult> Arm::eval(const std::string& name, std::optional<std::int64_t> step) const {
  v1::EvalRequest request;
  request.set_experiment(experiment_);
  request.set_arm(name_);
  request.set_name(name);
  if (step) {
    request.set_step(*step);
  }
  const v1::EvalResponse response = calls_->eval(request);
  return response.has_eval_result() ? std::optional(response.eval_result()) : std::nullopt;
}

std::optional<double> Arm::score(const std::string& metric) const {
  const auto found = find_score(metric);
  return found ? std::optional(found->value) : std::nullopt;
}

std::optional<Score> Arm::find_score(const std::string& metric) const {
  v1::ScoreRequest request;
  request.set_experiment(experiment_);
  request.set_arm(name_);
  request.set_metric(metric);
  const v1::ScoreResponse response = calls_->score(request);
  return response.has_value() ? std::optional(Score{response.value(), response.source()}) : std::nullopt;
}

v1::ArmResult Arm::get() const {
  return in_one_state("arm \"" + name_ + "\" of \"" + experiment_ + "\"", [this] { return get_in_one_state(); });
}

std::optional<v1::ArmResult> Arm::get_in_one_state() const {
  v1::GetArmRequest head;
  head.set_experiment(experiment_);
  head.set_arm(name_);
  v1::GetArmResponse response = calls_->get_arm(head);
  v1::ArmResult found = std::move(*response.mutable_arm_result());

  v1::ListEvalsRequest rest;
  rest.set_experiment(experiment_);
  rest.set_arm(name_);
  rest.set_page_size(kLargestPage);
  rest.set_page_token(response.next_evals_page_token());
  while (!rest.page_token().empty()) {
    const v1::ListEvalsResponse page = calls_->list_evals(rest);
    if (page.revision() != found.revision()) {
      return std::nullopt;
    }
    found.mutable_evals()->MergeFrom(page.evals());
    rest.set_page_token(page.next_page_token());
  }
  return found;
}

Listing<v1::EvalResult> Arm::evals(v1::ListEvalsRequest filter) const {
  filter.set_experiment(experiment_);
  filter.set_arm(name_);
  return Listing<v1::EvalResult>([calls = calls_, request = std::move(filter)](const std::string& token) mutable {
    request.set_page_token(token);
    const v1::ListEvalsResponse page = calls->list_evals(request);
    return Page<v1::EvalResult>{{page.evals().begin(), page.evals().end()}, page.next_page_token()};
  });
}

v1::RecordResponse Arm::log(const std::map<std::string, double>& metrics,
                            std::optional<std::int64_t> step) const {
  v1::MetricsRecorded recorded;
  recorded.set_arm(name_);
  recorded.mutable_metrics()->insert(metrics.begin(), metrics.end());
  if (step) {
    recorded.set_step(*step);
  }
  return record_one(*calls_, experiment_, event(std::move(recorded)));
}

v1::RecordResponse Arm::log_eval(const v1::EvalResult& row) const {
  v1::EvalRecorded recorded;
  recorded.set_arm(name_);
  *recorded.mutable_eval_result() = row;
  return record_one(*calls_, experiment_, event(std::move(recorded)));
}

std::int64_t Arm::remove(bool allow_missing) const {
  v1::DeleteArmRequest request;
  request.set_experiment(experiment_);
  request.set_arm(name_);
  request.set_allow_missing(allow_missing);
  return calls_->delete_arm(request).revision();
}

Experiment::Experiment(std::shared_ptr<const Calls> calls, std::string name)
    : calls_(std::move(calls)), name_(std::move(name)) {}

v1::Experiment Experiment::get() const {
  v1::GetExperimentRequest request;
  request.set_experiment(name_);
  return calls_->get_experiment(request).experiment();
}

Listing<v1::ArmSummary> Experiment::arms(v1::ListArmsRequest filter) const {
  filter.set_experiment(name_);
  return Listing<v1::ArmSummary>([calls = calls_, request = std::move(filter)](const std::string& token) mutable {
    request.set_page_token(token);
    const v1::ListArmsResponse page = calls->list_arms(request);
    return Page<v1::ArmSummary>{{page.arms().begin(), page.arms().end()}, page.next_page_token()};
  });
}

Listing<v1::Metric> Experiment::metrics() const {
  v1::ListMetricsRequest all;
  all.set_experiment(name_);
  all.set_page_size(kLargestPage);
  return Listing<v1::Metric>([calls = calls_, request = std::move(all)](const std::string& token) mutable {
    request.set_page_token(token);
    const v1::ListMetricsResponse page = calls->list_metrics(request);
    return Page<v1::Metric>{{page.metrics().begin(), page.metrics().end()}, page.next_page_token()};
  });
}

v1::RankResponse Experiment::rank(v1::RankRequest request, std::optional<int> top) const {
  request.set_experiment(name_);
  const int most = top.value_or(std::numeric_limits<int>::max());
  return in_one_state("the ranking of experiment \"" + name_ + "\"",
                      [&] { return rank_in_one_state(request, most); });
}

std::optional<v1::RankResponse> Experiment::rank_in_one_state(v1::RankRequest request, int top) const {
  request.set_page_size(std::min(top, kLargestPage));
  request.clear_page_token();
  v1::RankResponse found = calls_->rank(request);
  while (!found.next_page_token().empty() && found.arms_size() + found.groups_size() < top) {
    request.set_page_token(found.next_page_token());
    const v1::RankResponse page = calls_->rank(request);
    // Events of arms that are not in the ranking change only the revision of the experiment.
    if (page.ranking_revision() != found.ranking_revision()) {
      return std::nullopt;
    }
    found.mutable_arms()->MergeFrom(page.arms());
    found.mutable_groups()->MergeFrom(page.groups());
    found.set_next_page_token(page.next_page_token());
  }
  cut(*found.mutable_arms(), top);
  cut(*found.mutable_groups(), top);
  return found;
}

v1::ScoresResponse Experiment::scores(v1::ScoresRequest request) const {
  request.set_experiment(name_);
  request.set_page_size(kLargestPage);
  request.clear_page_token();
  v1::ScoresResponse found = calls_->scores(request);
  while (!found.next_page_token().empty()) {
    request.set_page_token(found.next_page_token());
    const v1::ScoresResponse page = calls_->scores(request);
    found.mutable_arms()->MergeFrom(page.arms());
    for (int index = 0; index < page.columns_size(); ++index) {
      found.mutable_columns(index)->mutable_values()->MergeFrom(page.columns(index).values());
      found.mutable_columns(index)->mutable_present()->MergeFrom(page.columns(index).present());
    }
    found.set_revision(page.revision() == found.revision() ? page.revision() : 0);
    found.set_next_page_token(page.next_page_token());
  }
  return found;
}

v1::RecordResponse Experiment::declare(const v1::ExperimentDeclared& declared) const {
  return record_one(*calls_, name_, event(declared));
}

v1::RecordResponse Experiment::record_arm(const v1::ArmResult& arm, bool replace) const {
  v1::RecordResponse response;
  for (const std::vector<v1::Event>& events : in_calls(arm, replace)) {
    const auto changed = response.changed_events();
    response = record(events);
    response.set_changed_events(response.changed_events() + changed);
  }
  return response;
}

v1::RecordResponse Experiment::record(const std::vector<v1::Event>& events,
                                      const std::optional<v1::StreamPosition>& position) const {
  v1::RecordRequest request;
  request.set_experiment(name_);
  *request.mutable_events() = {events.begin(), events.end()};
  if (position) {
    *request.mutable_position() = *position;
  }
  return calls_->record(request);
}

std::int64_t Experiment::remove(bool allow_missing) const {
  v1::DeleteExperimentRequest request;
  request.set_experiment(name_);
  request.set_allow_missing(allow_missing);
  return calls_->delete_experiment(request).revision();
}

}  // namespace podium
