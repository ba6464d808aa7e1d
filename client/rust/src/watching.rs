//! Watches: the changes of an experiment as they are committed.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::time::{Instant, sleep};
use tonic::{Code, Streaming};

use crate::calls::{Calls, FIRST_PAUSE};
use crate::error::{Error, Result};
use crate::v1::{WatchMarker, WatchRemoval, WatchRequest, WatchResponse};

/// A watch has no time limit.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The number of resets in a row, without another update, after which a watch fails.
const MOST_RESETS: u32 = 3;
/// The reasons of errors after which a watch continues.
const TRANSIENT: [&str; 5] = [
    "OVERLOADED",
    "QUOTA_EXCEEDED",
    "SHUTTING_DOWN",
    "WATCH_TOO_SLOW",
    "OUTCOME_UNKNOWN",
];

/// The updates of a watch. Call [`next`](Self::next), or use it as a `Stream`. Dropping it ends the
/// watch.
pub struct Watch(BoxStream<'static, Result<WatchResponse>>);

impl Watch {
    pub(crate) fn new(calls: Calls, request: WatchRequest) -> Self {
        let watcher = Watcher {
            begun: Instant::now(),
            calls,
            request,
            responses: None,
            update: WatchResponse::default(),
            is_answered: false,
            failures: 0,
            resets: 0,
        };
        // An error or a deletion ends the stream.
        let updates = stream::unfold(Some(watcher), |watcher| async {
            let mut watcher = watcher?;
            let next = watcher.next().await;
            let goes_on = next.as_ref().is_ok_and(|update| !update.deleted);
            Some((next, goes_on.then_some(watcher)))
        });
        Self(updates.boxed())
    }

    /// Returns the next update, or `None` after the last one.
    pub async fn next(&mut self) -> Option<Result<WatchResponse>> {
        self.0.next().await
    }
}

impl Stream for Watch {
    type Item = Result<WatchResponse>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

/// Reads the messages of the calls of a watch.
struct Watcher {
    begun: Instant,
    calls: Calls,
    /// The request, with the last marker.
    request: WatchRequest,
    /// The running call.
    responses: Option<Streaming<WatchResponse>>,
    /// The changes since the last marker.
    update: WatchResponse,
    /// Whether a marker has arrived.
    is_answered: bool,
    /// The failures since the last update that was not a reset.
    failures: u32,
    /// The resets since then.
    resets: u32,
}

impl Watcher {
    async fn next(&mut self) -> Result<WatchResponse> {
        loop {
            match self.read().await {
                Ok(Some(update)) => return Ok(update),
                Ok(None) => {}
                Err(error) if self.is_answered && error.code() == Code::NotFound => {
                    // The experiment was deleted while there was no connection.
                    return Ok(deleted());
                }
                Err(error) => self.pause_after(error).await?,
            }
        }
    }

    /// Reads one message. Returns an update if the message ends one.
    async fn read(&mut self) -> Result<Option<WatchResponse>> {
        let responses = match &mut self.responses {
            Some(responses) => responses,
            none => {
                self.update = WatchResponse::default();
                none.insert(self.calls.watch(self.request.clone()).await?)
            }
        };
        let Some(response) = responses.message().await? else {
            let message = "the server has ended the watch";
            return Err(Error::new(Code::Unavailable, message));
        };
        if response.deleted {
            return Ok(Some(deleted()));
        }
        self.add(response)
    }

    fn add(&mut self, response: WatchResponse) -> Result<Option<WatchResponse>> {
        if response.reset {
            if self.resets == MOST_RESETS {
                let message = format!(
                    "the server reset the watch {} times in a row: does the address lead to \
                     servers with different stores?",
                    MOST_RESETS + 1
                );
                return Err(Error::new(Code::Aborted, message));
            }
            self.update = response;
        } else {
            merge(&mut self.update, response);
        }
        let Some(marker) = self.update.marker.clone() else {
            return Ok(None);
        };
        let update = mem::take(&mut self.update);
        if update.reset {
            // A reset does not end the pauses: the server may only reset. A reset without its
            // update was interrupted, and the next call repeats it.
            self.resets += 1;
        } else {
            (self.failures, self.resets) = (0, 0);
        }
        Ok(self.is_news(marker).then_some(update))
    }

    /// Continues after a marker. Returns whether it differs from the last one.
    fn is_news(&mut self, marker: WatchMarker) -> bool {
        let is_news = !self.is_answered
            || self.request.after_revision != Some(marker.revision)
            || self.request.epoch.as_ref() != Some(&marker.epoch);
        self.is_answered = true;
        self.request.after_revision = Some(marker.revision);
        self.request.epoch = Some(marker.epoch);
        is_news
    }

    /// Waits before the next call, or returns the error if the watch ends. If the server has
    /// answered before, there is no limit to the retries.
    async fn pause_after(&mut self, error: Error) -> Result<()> {
        self.responses = None;
        let pause = pause_after(self.failures, &error);
        self.failures = self.failures.saturating_add(1);
        let ends_in_time =
            self.is_answered || self.begun.elapsed() + pause < self.calls.read_timeout;
        if !ends_in_time || !is_transient(&error) {
            return Err(self.calls.explained(error));
        }
        sleep(pause).await;
        Ok(())
    }
}

/// Returns the delay after a failure: random, up to a limit that doubles with each attempt, so that
/// not all clients of a lost server reconnect at once. It is at least the delay that the server
/// asks for.
fn pause_after(failures: u32, error: &Error) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures));
    let part = u32::try_from(RandomState::new().hash_one(failures) % 1_000).unwrap_or_default();
    let pause = longest.min(LONGEST_PAUSE) * part / 1_000;
    pause.max(error.retry_delay().unwrap_or_default())
}

fn is_transient(error: &Error) -> bool {
    match error.reason() {
        "" => matches!(error.code(), Code::Unavailable | Code::Internal),
        reason => TRANSIENT.contains(&reason),
    }
}

fn deleted() -> WatchResponse {
    WatchResponse {
        deleted: true,
        ..Default::default()
    }
}

/// Adds a message to an update. A removal also ends what an earlier message has added.
fn merge(update: &mut WatchResponse, response: WatchResponse) {
    for removal in &response.removals {
        let is_gone = |arm: &str| removal.arm == arm && removal.name.is_none();
        update
            .arms
            .retain(|item| !item.arm.as_ref().is_some_and(|arm| is_gone(&arm.name)));
        update.series.retain(|item| !is_gone(&item.arm));
        update.evals.retain(|item| {
            let row = item.eval_result.as_ref();
            let is_row = row.is_some_and(|row| is_of(removal, &row.name, row.step));
            !(is_gone(&item.arm) || (removal.arm == item.arm && is_row))
        });
    }
    update.removals.extend(response.removals);
    update.arms.extend(response.arms);
    update.evals.extend(response.evals);
    update.series.extend(response.series);
    update.experiment = response.experiment.or(update.experiment.take());
    update.marker = response.marker;
}

fn is_of(removal: &WatchRemoval, name: &str, step: Option<i64>) -> bool {
    removal.name.as_deref() == Some(name) && removal.step == step
}
