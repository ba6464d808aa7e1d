//! Handles of experiments.

use std::fmt::Display;

use super::large_arms;
use super::run::new_attempt;
use super::{ArmHandle, ArmRun, LARGEST_PAGE, in_one_state};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::v1::{
    ArmResult, ArmStarted, ArmSummary, DeleteExperimentRequest, Event, Experiment,
    ExperimentDeclared, GetExperimentRequest, ListArmsRequest, ListMetricsRequest, Metric,
    RankRequest, RankResponse, RecordRequest, RecordResponse, RunConfig, ScoresRequest,
    ScoresResponse, StreamPosition, WatchRequest,
};
use crate::watching::Watch;

/// A handle of an experiment on a server. The experiment may not exist yet. Clones are cheap.
#[derive(Clone, Debug)]
pub struct ExperimentHandle {
    pub(super) client: Client,
    name: String,
}

impl ExperimentHandle {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Returns the name of the experiment.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a handle of one of its arms. Makes no call.
    pub fn arm(&self, name: impl Into<String>) -> ArmHandle {
        ArmHandle::new(self.clone(), name.into())
    }

    /// Returns the experiment.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment does not exist.
    pub async fn get(&self) -> Result<Experiment> {
        let experiment = self.name.clone();
        let request = GetExperimentRequest { experiment };
        let response = self.client.calls().get_experiment(request).await?;
        Ok(response.experiment.unwrap_or_default())
    }

    /// Lists the arms that match the filters of a request, in the order in which they were created.
    /// `Default::default()` lists all.
    #[must_use]
    pub fn arms(&self, mut request: ListArmsRequest) -> Listing<ArmSummary> {
        request.experiment.clone_from(&self.name);
        let calls = self.client.calls().clone();
        Listing::new(request, move |mut request: ListArmsRequest| {
            let calls = calls.clone();
            async move {
                let page = calls.list_arms(request.clone()).await?;
                request.page_token = page.next_page_token;
                let next = (!request.page_token.is_empty()).then_some(request);
                Ok((page.arms, next))
            }
        })
    }

    /// Lists the metrics on which arms have scores, with the number of arms of each.
    #[must_use]
    pub fn metrics(&self) -> Listing<Metric> {
        let request = ListMetricsRequest {
            experiment: self.name.clone(),
            page_size: LARGEST_PAGE,
            page_token: String::new(),
        };
        let calls = self.client.calls().clone();
        Listing::new(request, move |mut request: ListMetricsRequest| {
            let calls = calls.clone();
            async move {
                let page = calls.list_metrics(request.clone()).await?;
                request.page_token = page.next_page_token;
                let next = (!request.page_token.is_empty()).then_some(request);
                Ok((page.metrics, next))
            }
        })
    }

    /// Ranks the arms or groups, the best first, as of one revision. With `top`, returns only so
    /// many places.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment does not exist. `FailedPrecondition`: there is no metric,
    /// neither in the request nor in the experiment. `Aborted`: the ranking changed each time while
    /// it was read.
    pub async fn rank(&self, request: RankRequest, top: Option<usize>) -> Result<RankResponse> {
        let top = top.unwrap_or(usize::MAX);
        let what = format!("the ranking of experiment {:?}", self.name);
        in_one_state(&what, || self.rank_in_one_state(request.clone(), top)).await
    }

    /// Returns the ranking, or `None` if it changed between the pages. Events of arms that are not
    /// in the ranking change only the revision of the experiment, not that of the ranking.
    async fn rank_in_one_state(
        &self,
        mut request: RankRequest,
        top: usize,
    ) -> Result<Option<RankResponse>> {
        request.experiment.clone_from(&self.name);
        request.page_token.clear();
        request.page_size = i32::try_from(top).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE);
        let mut found = self.client.calls().rank(request.clone()).await?;
        while !found.next_page_token.is_empty() && found.arms.len() + found.groups.len() < top {
            request.page_token.clone_from(&found.next_page_token);
            let page = self.client.calls().rank(request.clone()).await?;
            if page.ranking_revision != found.ranking_revision {
                return Ok(None);
            }
            found.arms.extend(page.arms);
            found.groups.extend(page.groups);
            found.next_page_token = page.next_page_token;
        }
        found.arms.truncate(top);
        found.groups.truncate(top);
        Ok(Some(found))
    }

    /// Returns the scores of the arms that match the filters of a request: a column for each
    /// metric, in the order in which the arms were created. All pages are joined. The revision is 0
    /// if the experiment changed between the pages.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment does not exist. `InvalidArgument`: there is no metric.
    pub async fn scores(&self, mut request: ScoresRequest) -> Result<ScoresResponse> {
        request.experiment.clone_from(&self.name);
        request.page_size = LARGEST_PAGE;
        request.page_token.clear();
        let mut found = self.client.calls().scores(request.clone()).await?;
        while !found.next_page_token.is_empty() {
            request.page_token = found.next_page_token;
            let page = self.client.calls().scores(request.clone()).await?;
            found.arms.extend(page.arms);
            for (column, more) in found.columns.iter_mut().zip(page.columns) {
                column.values.extend(more.values);
                column.present.extend(more.present);
            }
            if page.revision != found.revision {
                found.revision = 0;
            }
            found.next_page_token = page.next_page_token;
        }
        Ok(found)
    }

    /// Watches the experiment: yields its state, and then every change as it is committed.
    /// `Default::default()` watches everything; `after_revision` and `epoch` of a marker continue
    /// after its update.
    ///
    /// Each update has a marker, and changes the state before it into exactly the state of the
    /// marker's revision. Apply its fields in the order reset, removals, arms, evals. If the
    /// connection is lost, the watch continues after the last update. The last update of an
    /// experiment that was deleted has only `deleted` set. An error ends the watch.
    #[must_use]
    pub fn watch(&self, mut request: WatchRequest) -> Watch {
        request.experiment.clone_from(&self.name);
        Watch::new(self.client.calls().clone(), request)
    }

    /// Creates the experiment, or sets its unset fields. A field with another value keeps it and is
    /// named in the response, unless `overwrite` is set. `clear_fields` names fields that lose
    /// their value.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: a field exceeds a limit, or is both set and cleared.
    pub async fn declare(&self, declared: ExperimentDeclared) -> Result<RecordResponse> {
        self.record([Event::now(declared)]).await
    }

    /// Starts an attempt at training an arm. From then on, the status of the arm is running.
    ///
    /// Fields that are not set in `options` have defaults: the name of the configuration for the
    /// arm, and a random id and the time in milliseconds for the id and the order of the attempt.
    /// `mode: Some(Mode::ResumeStep(100))` continues after step 100, and `Mode::Restart(true)`
    /// starts a completed arm from the beginning.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment was not declared. `FailedPrecondition`: there is a newer attempt
    /// (`STALE_ATTEMPT`), the arm has completed (`ARM_FINISHED`), or earlier attempts have another
    /// configuration (`RUN_CONFIG_CHANGED`).
    pub async fn start_arm(&self, run_config: RunConfig, options: ArmStarted) -> Result<ArmRun> {
        let arm = match options.arm.as_str() {
            "" => run_config.name.clone(),
            given => given.to_owned(),
        };
        let started = ArmStarted {
            arm,
            run_config: Some(run_config),
            attempt: Some(new_attempt(options.attempt)),
            ..options
        };
        ArmRun::start(self, started).await
    }

    /// Starts an attempt, as [`start_arm`](Self::start_arm), and trains in a block: `async |run|`.
    ///
    /// If the block returns a value, the arm is completed. If it returns an error or panics, the
    /// arm is failed with the error's text. If its future is dropped, the arm is cancelled by a
    /// task of the runtime. After [`ArmRun::finish`], the end of the block records nothing.
    ///
    /// # Errors
    ///
    /// Those of `start_arm`, or the error of the block.
    pub async fn run_arm<T, E, B>(
        &self,
        run_config: RunConfig,
        options: ArmStarted,
        block: B,
    ) -> Result<T, E>
    where
        B: AsyncFnOnce(&ArmRun) -> Result<T, E>,
        E: From<Error> + Display,
    {
        self.start_arm(run_config, options)
            .await?
            .during(block)
            .await
    }

    /// Records a whole arm: the arm of that name becomes equal to it. An arm that is larger than
    /// one call allows takes several calls: first the arm with some of its rows, then the others.
    /// Recording it again is safe.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` (`ARM_HAS_ATTEMPTS`): a training has recorded the arm.
    pub async fn record_arm(&self, arm: ArmResult) -> Result<RecordResponse> {
        large_arms::record(self, arm).await
    }

    /// Records events in order, all of them or none. Sending them again is safe.
    ///
    /// # Errors
    ///
    /// [`Error::refusals`] lists every rejected event.
    pub async fn record(&self, events: impl IntoIterator<Item = Event>) -> Result<RecordResponse> {
        self.record_request(events, None).await
    }

    /// Records events of a stream, each exactly once, no matter when the call is repeated. The
    /// position is that of the first event.
    ///
    /// # Errors
    ///
    /// `OutOfRange` (`SEQUENCE_GAP`): events before the first one are missing. Also those of
    /// [`record`](Self::record).
    pub async fn record_at(
        &self,
        position: StreamPosition,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<RecordResponse> {
        self.record_request(events, Some(position)).await
    }

    async fn record_request(
        &self,
        events: impl IntoIterator<Item = Event>,
        position: Option<StreamPosition>,
    ) -> Result<RecordResponse> {
        let request = RecordRequest {
            experiment: self.name.clone(),
            events: events.into_iter().collect(),
            position,
            validate_only: false,
        };
        self.client.calls().record(request).await
    }

    /// Deletes the experiment with its arms. Returns its last revision.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment does not exist, and `allow_missing` is false.
    pub async fn delete(&self, allow_missing: bool) -> Result<i64> {
        let request = DeleteExperimentRequest {
            experiment: self.name.clone(),
            allow_missing,
        };
        let response = self.client.calls().delete_experiment(request).await?;
        Ok(response.revision)
    }
}
