//! Handles of arms.

use super::{ExperimentHandle, LARGEST_PAGE, in_one_state};
use crate::client::Client;
use crate::error::Result;
use crate::listing::Listing;
use crate::scoring::Score;
use crate::v1::{
    ArmResult, DeleteArmRequest, EvalRecorded, EvalRequest, EvalResult, Event, GetArmRequest,
    ListEvalsRequest, MetricsRecorded, RecordResponse, ScoreRequest,
};

/// A handle of an arm on a server. The arm may not exist yet. Clones are cheap.
#[derive(Clone, Debug)]
pub struct ArmHandle {
    experiment: ExperimentHandle,
    name: String,
}

impl ArmHandle {
    pub(super) fn new(experiment: ExperimentHandle, name: String) -> Self {
        Self { experiment, name }
    }

    /// Returns the name of the arm's experiment.
    #[must_use]
    pub fn experiment(&self) -> &str {
        self.experiment.name()
    }

    /// Returns the name of the arm.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the post-training row of a name, or else the in-loop row with the greatest step.
    /// `None` if there is neither.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist.
    pub async fn eval(&self, name: &str) -> Result<Option<EvalResult>> {
        self.ask_eval(name, None).await
    }

    /// Returns the in-loop row of a name at exactly a step, or `None`. A step can be 0 or negative.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist.
    pub async fn eval_at(&self, name: &str, step: i64) -> Result<Option<EvalResult>> {
        self.ask_eval(name, Some(step)).await
    }

    async fn ask_eval(&self, name: &str, step: Option<i64>) -> Result<Option<EvalResult>> {
        let request = EvalRequest {
            experiment: self.experiment.name().to_owned(),
            arm: self.name.clone(),
            name: name.to_owned(),
            step,
        };
        Ok(self.client().calls().eval(request).await?.eval_result)
    }

    /// Returns the score on a metric, or `None` if there is none. The metric is a key, or the name
    /// of an eval, a dot and a key. NaN is a score.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist. `InvalidArgument`: the metric is
    /// empty.
    pub async fn score(&self, metric: &str) -> Result<Option<f64>> {
        Ok(self.find_score(metric).await?.map(|found| found.value))
    }

    /// Returns the score on a metric, and its source.
    ///
    /// # Errors
    ///
    /// Those of [`score`](Self::score).
    pub async fn find_score(&self, metric: &str) -> Result<Option<Score>> {
        let request = ScoreRequest {
            experiment: self.experiment.name().to_owned(),
            arm: self.name.clone(),
            metric: metric.to_owned(),
        };
        let response = self.client().calls().score(request).await?;
        let source = response.source.unwrap_or_default();
        Ok(response.value.map(|value| Score { value, source }))
    }

    /// Returns the whole arm with its rows, as of one revision. It has `eval` and `score`, too.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist. `Aborted`: the arm changed each time
    /// while it was read.
    pub async fn get(&self) -> Result<ArmResult> {
        let what = format!("arm {:?} of {:?}", self.name, self.experiment.name());
        in_one_state(&what, || self.get_in_one_state()).await
    }

    /// Returns the arm, or `None` if it changed while its rows were read.
    async fn get_in_one_state(&self) -> Result<Option<ArmResult>> {
        let mut request = ListEvalsRequest {
            experiment: self.experiment.name().to_owned(),
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

    /// Lists the rows that match the filters of a request, in the order in which they were first
    /// accepted. `Default::default()` lists all.
    #[must_use]
    pub fn evals(&self, mut request: ListEvalsRequest) -> Listing<EvalResult> {
        self.experiment.name().clone_into(&mut request.experiment);
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

    /// Records training metrics for a process that does not train the arm. The latest value of each
    /// key is kept. With a step, the values are also points of the training series.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist.
    pub async fn log<K: Into<String>>(
        &self,
        metrics: impl IntoIterator<Item = (K, f64)>,
        step: impl Into<Option<i64>>,
    ) -> Result<RecordResponse> {
        let recorded = MetricsRecorded {
            arm: self.name.clone(),
            metrics: metrics.into_iter().map(|(k, v)| (k.into(), v)).collect(),
            step: step.into(),
            ..Default::default()
        };
        self.experiment.record([Event::now(recorded)]).await
    }

    /// Records an eval row. It replaces a row with the same name and step.
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

    /// Deletes the arm with its rows. Returns the revision of the experiment after that.
    ///
    /// # Errors
    ///
    /// `NotFound`: the experiment or the arm does not exist, and `allow_missing` is false.
    pub async fn delete(&self, allow_missing: bool) -> Result<i64> {
        let request = DeleteArmRequest {
            experiment: self.experiment.name().to_owned(),
            arm: self.name.clone(),
            allow_missing,
        };
        Ok(self.client().calls().delete_arm(request).await?.revision)
    }

    pub(super) fn experiment_handle(&self) -> &ExperimentHandle {
        &self.experiment
    }

    fn client(&self) -> &Client {
        &self.experiment.client
    }
}
