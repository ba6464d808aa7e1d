//! `eval` and `score` of an arm in memory.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::scoring::{self, Score};
use crate::v1::{ArmResult, EvalResult, Value};

impl ArmResult {
    /// Returns the post-training row of a name, or else the in-loop row with the greatest step.
    /// `None` if there is neither.
    #[must_use]
    pub fn eval(&self, name: &str) -> Option<&EvalResult> {
        scoring::find_eval(&self.evals, name)
    }

    /// Returns the in-loop row of a name at exactly a step, or `None`. A step can be 0 or negative.
    #[must_use]
    pub fn eval_at(&self, name: &str, step: i64) -> Option<&EvalResult> {
        scoring::find_eval_at(&self.evals, name, step)
    }

    /// Returns the score on a metric, or `None` if there is none. The metric is a key, or the name
    /// of an eval, a dot and a key. NaN is a score.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` (`NAME_INVALID`): the metric is empty.
    pub fn score(&self, metric: &str) -> Result<Option<f64>> {
        Ok(self.find_score(metric)?.map(|found| found.value))
    }

    /// Returns the score on a metric, and its source.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` (`NAME_INVALID`): the metric is empty.
    pub fn find_score(&self, metric: &str) -> Result<Option<Score>> {
        scoring::score(self, metric)
    }

    /// Returns the primary eval: the first post-training row tagged `test`, or else the first
    /// post-training row, or else the first row. Rows with a `model_ref` are never primary.
    #[must_use]
    pub fn primary_eval(&self) -> Option<&EvalResult> {
        scoring::primary(&self.evals)
    }

    /// Returns the given `eval_metrics`, or else those of the primary eval.
    #[must_use]
    pub fn effective_eval_metrics(&self) -> &BTreeMap<String, f64> {
        match self.primary_eval() {
            Some(row) if self.eval_metrics.is_empty() => &row.metrics,
            _ => &self.eval_metrics,
        }
    }

    /// Returns the given `eval_breakdowns`, or else those of the primary eval.
    #[must_use]
    pub fn effective_eval_breakdowns(&self) -> &BTreeMap<String, Value> {
        match self.primary_eval() {
            Some(row) if self.eval_breakdowns.is_empty() => &row.breakdowns,
            _ => &self.eval_breakdowns,
        }
    }

    /// Returns the given `eval_seconds`, or those of the primary eval; `None` if neither was
    /// recorded.
    #[must_use]
    pub fn effective_eval_seconds(&self) -> Option<f64> {
        self.eval_seconds
            .or_else(|| self.primary_eval().and_then(|row| row.eval_seconds))
    }
}
