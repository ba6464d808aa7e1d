//! The questions that an arm in your hands answers by itself.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::scoring::{self, Score};
use crate::v1::{ArmResult, EvalResult, Value};

impl ArmResult {
    /// The post-training row of a name if there is one, else the in-loop row with the greatest
    /// step, else nothing.
    #[must_use]
    pub fn eval(&self, name: &str) -> Option<&EvalResult> {
        scoring::find_eval(&self.evals, name)
    }

    /// The in-loop row of a name at exactly a step, else nothing. 0 and negative numbers are steps.
    #[must_use]
    pub fn eval_at(&self, name: &str, step: i64) -> Option<&EvalResult> {
        scoring::find_eval_at(&self.evals, name, step)
    }

    /// The number that a metric has: a key, or the name of an eval and a key with a dot between
    /// them. NaN is a number; `None` is no score.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` (`NAME_INVALID`): the metric is empty.
    pub fn score(&self, metric: &str) -> Result<Option<f64>> {
        Ok(self.find_score(metric)?.map(|found| found.value))
    }

    /// The number that a metric has, and where it came from.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` (`NAME_INVALID`): the metric is empty.
    pub fn find_score(&self, metric: &str) -> Result<Option<Score>> {
        scoring::score(self, metric)
    }

    /// The primary eval: the first post-training row tagged `test`; else the first post-training
    /// row; else the first row. Rows with a `model_ref` are never primary.
    #[must_use]
    pub fn primary_eval(&self) -> Option<&EvalResult> {
        scoring::primary(&self.evals)
    }

    /// `eval_metrics` as they read: those that were given, else the primary eval's metrics.
    #[must_use]
    pub fn effective_eval_metrics(&self) -> &BTreeMap<String, f64> {
        match self.primary_eval() {
            Some(row) if self.eval_metrics.is_empty() => &row.metrics,
            _ => &self.eval_metrics,
        }
    }

    /// `eval_breakdowns` as they read: those that were given, else the primary eval's breakdowns.
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
