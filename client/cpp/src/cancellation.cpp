#include "podium/cancellation.h"

#include "cancellation_state.h"

namespace podium {

Cancellation::Cancellation() : state_(std::make_shared<State>()) {}

void Cancellation::cancel() const {
  const std::lock_guard lock(state_->mutex);
  state_->is_cancelled = true;
  for (grpc::ClientContext* context : state_->under_way) {
    context->TryCancel();
  }
  state_->cancelled.notify_all();
}

bool Cancellation::is_cancelled() const {
  const std::lock_guard lock(state_->mutex);
  return state_->is_cancelled;
}

}  // namespace podium
