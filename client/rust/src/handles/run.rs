//! Attempts at training an arm.

use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use tokio::sync::Mutex;

use super::{ArmHandle, ExperimentHandle};
use crate::error::{Error, Result};
use crate::v1::event::Kind;
use crate::v1::{
    ArmFinished, ArmStarted, ArmStatus, Attempt, EvalRecorded, EvalResult, Event, MetricsRecorded,
    RecordResponse, StreamPosition,
};

/// An attempt at training an arm, which [`ExperimentHandle::start_arm`] starts.
///
/// Each call returns after the server has stored its event. Until the deadline of writes, it is
/// retried while no server answers, and the event is stored exactly once. Any number of tasks may
/// share an attempt: it makes one call at a time.
///
/// Dropping an attempt records no end: the arm stays running until another attempt starts, or until
/// `podium finish`. [`ExperimentHandle::run_arm`] records an end in any case.
#[derive(Debug)]
pub struct ArmRun {
    arm: ArmHandle,
    attempt_id: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: StreamPosition,
    is_finished: bool,
}

impl ArmRun {
    pub(super) async fn start(experiment: &ExperimentHandle, started: ArmStarted) -> Result<Self> {
        let attempt = started.attempt.as_ref();
        let run = Self {
            arm: experiment.arm(&started.arm),
            attempt_id: attempt.map_or_else(String::new, |attempt| attempt.id.clone()),
            state: Mutex::new(State {
                next: first_position(),
                is_finished: false,
            }),
        };
        run.record(started).await?;
        Ok(run)
    }

    /// Returns a handle of the arm, to read it.
    #[must_use]
    pub fn arm(&self) -> &ArmHandle {
        &self.arm
    }

    /// Returns the id of the attempt.
    #[must_use]
    pub fn attempt_id(&self) -> &str {
        &self.attempt_id
    }

    /// Records training metrics. The latest value of each key is kept. With a step, the values are
    /// also points of the training series: `run.log([("loss", 0.31)], 100)`, or `None`.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` (`STALE_ATTEMPT`): there is a newer attempt, so end the training.
    pub async fn log<K: Into<String>>(
        &self,
        metrics: impl IntoIterator<Item = (K, f64)>,
        step: impl Into<Option<i64>>,
    ) -> Result<RecordResponse> {
        let recorded = MetricsRecorded {
            arm: self.arm.name().to_owned(),
            attempt_id: Some(self.attempt_id.clone()),
            metrics: metrics.into_iter().map(|(k, v)| (k.into(), v)).collect(),
            step: step.into(),
        };
        self.record(recorded).await
    }

    /// Records an eval row. It replaces a row with the same name and step.
    ///
    /// # Errors
    ///
    /// Those of [`log`](Self::log).
    pub async fn log_eval(&self, row: EvalResult) -> Result<RecordResponse> {
        let recorded = EvalRecorded {
            arm: self.arm.name().to_owned(),
            attempt_id: Some(self.attempt_id.clone()),
            eval_result: Some(row),
        };
        self.record(recorded).await
    }

    /// Records the end of the training: a status, or an [`ArmFinished`] with more. Its arm and
    /// attempt are ignored. A later call replaces an earlier one.
    ///
    /// # Errors
    ///
    /// Those of [`log`](Self::log).
    pub async fn finish(&self, end: impl Into<ArmFinished>) -> Result<RecordResponse> {
        let finished = ArmFinished {
            arm: self.arm.name().to_owned(),
            attempt_id: Some(self.attempt_id.clone()),
            ..end.into()
        };
        self.record(finished).await
    }

    /// Sends one event at the next position of the stream.
    async fn record(&self, event: impl Into<Kind>) -> Result<RecordResponse> {
        let event = Event::now(event);
        let is_end = matches!(event.kind, Some(Kind::ArmFinished(_)));
        let mut state = self.state.lock().await;
        // A call that fails or is dropped ends the stream, because it is unknown whether its event
        // was stored.
        let mut position = mem::replace(&mut state.next, first_position());
        let recorded = self
            .arm
            .experiment_handle()
            .record_at(position.clone(), [event])
            .await?;
        position.first_sequence += 1;
        state.next = position;
        state.is_finished |= is_end;
        Ok(recorded)
    }

    /// Records the end of the block of a run, unless the block recorded one.
    async fn end(&self, status: ArmStatus, error: Option<String>) -> Result<()> {
        if !self.state.lock().await.is_finished {
            let end = ArmFinished {
                error,
                ..status.into()
            };
            self.finish(end).await?;
        }
        Ok(())
    }

    /// Runs a block, and records its end.
    pub(super) async fn during<T, E, B>(self, block: B) -> Result<T, E>
    where
        B: AsyncFnOnce(&Self) -> Result<T, E>,
        E: From<Error> + Display,
    {
        let mut guard = EndGuard(Some(self));
        let run = guard.0.as_ref().expect("it is taken at the end");
        let ended = AssertUnwindSafe(block(run)).catch_unwind().await;
        let (status, error) = match &ended {
            Ok(Ok(_)) => (ArmStatus::Completed, None),
            Ok(Err(error)) => (ArmStatus::Failed, Some(format!("{error:#}"))),
            Err(_) => (ArmStatus::Failed, Some("the training panicked".to_owned())),
        };
        let recorded = run.end(status, error).await;
        guard.0 = None;
        match ended {
            Ok(result) => result.and_then(|value| Ok(recorded.map(|()| value)?)),
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// Records that a run was cancelled if the future of its block is dropped.
struct EndGuard(Option<ArmRun>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let (Some(run), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        runtime.spawn(async move {
            let error = "the future of the training was dropped".to_owned();
            // Nobody waits for the result.
            let _ = run.end(ArmStatus::Cancelled, Some(error)).await;
        });
    }
}

impl From<ArmStatus> for ArmFinished {
    fn from(status: ArmStatus) -> Self {
        Self {
            status: status.into(),
            ..Default::default()
        }
    }
}

/// Returns the attempt to record: with a new id, and the time in milliseconds as its order, unless
/// given.
pub(super) fn new_attempt(given: Option<Attempt>) -> Attempt {
    let given = given.unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = now.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or_default()
    });
    Attempt {
        id: if given.id.is_empty() {
            random_id()
        } else {
            given.id
        },
        order: given.order.or(Some(milliseconds)),
    }
}

fn first_position() -> StreamPosition {
    StreamPosition {
        writer_id: random_id(),
        first_sequence: 1,
    }
}

/// Returns 32 random hexadecimal digits.
fn random_id() -> String {
    let [high, low] = [0, 1].map(|half| RandomState::new().hash_one(half));
    format!("{high:016x}{low:016x}")
}
