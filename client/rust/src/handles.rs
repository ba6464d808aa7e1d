//! Experiments and arms to ask and to record.

use crate::client::Client;
use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::scoring::Score;
use crate::v1::{
    ArmRecorded, ArmResult, ArmSummary, DeleteArmRequest, DeleteExperimentRequest, EvalRecorded,
    EvalRequest, EvalResult, Event, Experiment, ExperimentDeclared, GetArmRequest,
    GetExperimentRequest, ListArmsRequest, ListEvalsRequest, ListMetricsRequest, Metric,
    MetricsRecorded, RankRequest, RankResponse, RecordRequest, RecordResponse, ScoreRequest,
    ScoresRequest, ScoresResponse, StreamPosition,
};
use tonic::Code;

/// How often what takes several calls is read until it is of one state.
const ATTEMPTS: usize = 5;
const LARGEST_PAGE: i32 = 1000;

/// An experiment at a server, which may not exist yet. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct ExperimentHandle {
    client: Client,
    name: String,
}

impl ExperimentHandle {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The experiment's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A handle on one of its arms; no call is made.
    pub fn arm(&self, name: impl Into<String>) -> ArmHandle {
        ArmHandle {
            experiment: self.clone(),
            name: name.into(),
        }
    }

    /// The experiment.
    ///
    /// # Errors
    ///
    /// `NotFound`: it does not exist.
    pub async fn get(&self) -> Result<Experiment> {
        let experiment = self.name.clone();
        let request = GetExperimentRequest { experiment };
        let response = self.client.calls().get_experiment(request).await?;
        Ok(response.experiment.unwrap_or_default())
    }

    /// The arms that pass the filters of a request, in the order in which they were created.
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

    /// The metrics on which arms have scores, with the number of arms of each.
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

    /// The ranking of the arms (or groups), the best first, in one state: all of it, or its first
    /// `top`.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment does not exist. `FailedPrecondition`: there is no metric,
    /// neither in the request nor in the experiment. `Aborted`: the experiment is too busy.
    pub async fn rank(&self, request: RankRequest, top: Option<usize>) -> Result<RankResponse> {
        let top = top.unwrap_or(usize::MAX);
        let what = format!("the ranking of experiment {:?}", self.name);
        in_one_state(&what, || self.rank_in_one_state(request.clone(), top)).await
    }

    /// `None` if the ranking changed between the pages. What is recorded of arms that are not in the
    /// ranking changes the experiment's revision only.
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

    /// The scores of the arms that pass the filters of a request: a column for each of its metrics,
    /// in the order of the arms' creation, with all pages in one. The revision is 0 if the
    /// experiment changed between the pages.
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

    /// Creates the experiment, or fills fields that are still unset.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: a field is out of its bounds.
    pub async fn declare(&self, declared: ExperimentDeclared) -> Result<RecordResponse> {
        self.record([Event::now(declared)]).await
    }

    /// Records a whole arm: the arm of that name becomes equal to it.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` (`ARM_HAS_ATTEMPTS`): the arm belongs to its trainer.
    pub async fn record_arm(&self, arm: ArmResult) -> Result<RecordResponse> {
        let recorded = ArmRecorded {
            arm_result: Some(arm),
            replace: false,
        };
        self.record([Event::now(recorded)]).await
    }

    /// Records events, all of them or none: they apply in order, as if sent one by one. To send
    /// them again is safe.
    ///
    /// # Errors
    ///
    /// [`Error::refusals`] lists every refused event.
    pub async fn record(&self, events: impl IntoIterator<Item = Event>) -> Result<RecordResponse> {
        self.record_request(events, None).await
    }

    /// Records events of a stream: the position says where the first one stands in it, so that each
    /// is applied exactly once however late it is repeated.
    ///
    /// # Errors
    ///
    /// `OutOfRange` (`SEQUENCE_GAP`): events before the first one are missing. Else as
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
        };
        self.client.calls().record(request).await
    }

    /// Deletes the experiment with its arms; the revision after the call.
    ///
    /// # Errors
    ///
    /// `NotFound`: it does not exist, and that is not allowed.
    pub async fn delete(&self, allow_missing: bool) -> Result<i64> {
        let request = DeleteExperimentRequest {
            experiment: self.name.clone(),
            allow_missing,
        };
        let response = self.client.calls().delete_experiment(request).await?;
        Ok(response.revision)
    }
}

/// An arm at a server, which may not exist yet. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct ArmHandle {
    experiment: ExperimentHandle,
    name: String,
}

impl ArmHandle {
    /// The name of the arm's experiment.
    #[must_use]
    pub fn experiment(&self) -> &str {
        &self.experiment.name
    }

    /// The arm's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The post-training row of a name if there is one, else the in-loop row with the greatest
    /// step, else nothing.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist.
    pub async fn eval(&self, name: &str) -> Result<Option<EvalResult>> {
        self.ask_eval(name, None).await
    }

    /// The in-loop row of a name at exactly a step, else nothing. 0 and negative numbers are steps.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist.
    pub async fn eval_at(&self, name: &str, step: i64) -> Result<Option<EvalResult>> {
        self.ask_eval(name, Some(step)).await
    }

    async fn ask_eval(&self, name: &str, step: Option<i64>) -> Result<Option<EvalResult>> {
        let request = EvalRequest {
            experiment: self.experiment.name.clone(),
            arm: self.name.clone(),
            name: name.to_owned(),
            step,
        };
        Ok(self.client().calls().eval(request).await?.eval_result)
    }

    /// The number that a metric has: a key, or the name of an eval and a key with a dot between
    /// them. NaN is a number; `None` is no score.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist. `InvalidArgument`: the metric is
    /// empty.
    pub async fn score(&self, metric: &str) -> Result<Option<f64>> {
        Ok(self.find_score(metric).await?.map(|found| found.value))
    }

    /// The number that a metric has, and where it came from.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    pub async fn find_score(&self, metric: &str) -> Result<Option<Score>> {
        let request = ScoreRequest {
            experiment: self.experiment.name.clone(),
            arm: self.name.clone(),
            metric: metric.to_owned(),
        };
        let response = self.client().calls().score(request).await?;
        let source = response.source.unwrap_or_default();
        Ok(response.value.map(|value| Score { value, source }))
    }

    /// The whole arm with its rows, in one state: it answers `eval` and `score` by itself.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist. `Aborted`: the arm is too busy to be
    /// read as a whole.
    pub async fn get(&self) -> Result<ArmResult> {
        let what = format!("arm {:?} of {:?}", self.name, self.experiment.name);
        in_one_state(&what, || self.get_in_one_state()).await
    }

    /// `None` if the arm changed while its rows were read.
    async fn get_in_one_state(&self) -> Result<Option<ArmResult>> {
        let mut request = ListEvalsRequest {
            experiment: self.experiment.name.clone(),
            arm: self.name.clone(),
            page_size: LARGEST_PAGE,
            ..Default::default()
        };
        let head = GetArmRequest {
            experiment: request.experiment.clone(),
            arm: request.arm.clone(),
        };
        let response = self.client().calls().get_arm(head).await?;
        let mut found = response.arm_result.unwrap_or_default();
        request.page_token = response.next_evals_page_token;
        while !request.page_token.is_empty() {
            let page = self.client().calls().list_evals(request.clone()).await?;
            if page.revision != found.revision {
                return Ok(None);
            }
            found.evals.extend(page.evals);
            request.page_token = page.next_page_token;
        }
        Ok(Some(found))
    }

    /// The rows that pass the filters of a request, in the order in which they were first accepted.
    /// `Default::default()` lists all.
    #[must_use]
    pub fn evals(&self, mut request: ListEvalsRequest) -> Listing<EvalResult> {
        request.experiment.clone_from(&self.experiment.name);
        request.arm.clone_from(&self.name);
        let calls = self.client().calls().clone();
        Listing::new(request, move |mut request: ListEvalsRequest| {
            let calls = calls.clone();
            async move {
                let page = calls.list_evals(request.clone()).await?;
                request.page_token = page.next_page_token;
                let next = (!request.page_token.is_empty()).then_some(request);
                Ok((page.evals, next))
            }
        })
    }

    /// Records training metrics: the latest value of each key counts.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist.
    pub async fn log<K: Into<String>>(
        &self,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<RecordResponse> {
        let recorded = MetricsRecorded {
            arm: self.name.clone(),
            metrics: metrics.into_iter().map(|(k, v)| (k.into(), v)).collect(),
            ..Default::default()
        };
        self.experiment.record([Event::now(recorded)]).await
    }

    /// Records an eval row; a row of the same name and step is replaced.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist.
    pub async fn log_eval(&self, row: EvalResult) -> Result<RecordResponse> {
        let recorded = EvalRecorded {
            arm: self.name.clone(),
            eval_result: Some(row),
            ..Default::default()
        };
        self.experiment.record([Event::now(recorded)]).await
    }

    /// Deletes the arm with its rows; the experiment's revision after the call.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist, and that is not allowed.
    pub async fn delete(&self, allow_missing: bool) -> Result<i64> {
        let request = DeleteArmRequest {
            experiment: self.experiment.name.clone(),
            arm: self.name.clone(),
            allow_missing,
        };
        Ok(self.client().calls().delete_arm(request).await?.revision)
    }

    fn client(&self) -> &Client {
        &self.experiment.client
    }
}

/// Reads what takes several calls until nothing changes meanwhile: `read` answers `None` if
/// something did.
async fn in_one_state<T, Read>(what: &str, mut read: impl FnMut() -> Read) -> Result<T>
where
    Read: Future<Output = Result<Option<T>>>,
{
    for _ in 0..ATTEMPTS {
        if let Some(found) = read().await? {
            return Ok(found);
        }
    }
    let message = format!(
        "{what} changed {ATTEMPTS} times while it was read: it is too busy to be read as a whole; \
         try again, or ask for less"
    );
    Err(Error::new(Code::Aborted, message))
}
