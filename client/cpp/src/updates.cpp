#include "updates.h"

#include <algorithm>

namespace podium {
namespace {

/// Returns whether a removal names an arm.
bool is_arm(const v1::WatchRemoval& removal, const std::string& arm) {
  return removal.arm() == arm && !removal.has_name();
}

/// Returns whether a removal names a row.
bool is_row(const v1::WatchRemoval& removal, const v1::WatchedEval& item) {
  const v1::EvalResult& row = item.eval_result();
  return removal.arm() == item.arm() && removal.has_name() && removal.name() == row.name() &&
         removal.has_step() == row.has_step() && removal.step() == row.step();
}

template <class Items, class Predicate>
void erase_if(Items& items, Predicate is_gone) {
  items.erase(std::remove_if(items.begin(), items.end(), is_gone), items.end());
}

}  // namespace

void merge(v1::WatchResponse& update, const v1::WatchResponse& response) {
  if (response.reset()) {
    update.Clear();
  }
  for (const v1::WatchRemoval& gone : response.removals()) {
    erase_if(*update.mutable_arms(), [&](const auto& item) { return is_arm(gone, item.arm().name()); });
    erase_if(*update.mutable_evals(),
             [&](const auto& item) { return is_arm(gone, item.arm()) || is_row(gone, item); });
    erase_if(*update.mutable_series(), [&](const auto& item) { return is_arm(gone, item.arm()); });
  }
  if (response.has_experiment()) {
    update.clear_experiment();  // a merge would keep the tags and metadata of an earlier declaration
  }
  update.MergeFrom(response);
}

}  // namespace podium
