//! The rules of `eval` and `score` (docs/semantics.md), as pure functions.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, Result};
use crate::v1::{ArmResult, EvalResult, ScoreOrigin, ScoreSource};

/// A score and its source.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// The number, which can be NaN.
    pub value: f64,
    /// The result that has the score.
    pub source: ScoreSource,
}

/// Returns the row of a name: the post-training row, or else the in-loop row with the greatest
/// step. Of rows with the same name and step, the first one is used.
pub(crate) fn find_eval<'a>(rows: &'a [EvalResult], name: &str) -> Option<&'a EvalResult> {
    let mut best: Option<&EvalResult> = None;
    for row in rows.iter().filter(|row| row.name == name) {
        if best.is_none_or(|found| precedence(row) > precedence(found)) {
            best = Some(row);
        }
    }
    best
}

/// Returns the first in-loop row of a name at exactly a step.
pub(crate) fn find_eval_at<'a>(
    rows: &'a [EvalResult],
    name: &str,
    step: i64,
) -> Option<&'a EvalResult> {
    rows.iter()
        .find(|row| row.name == name && row.step == Some(step))
}

fn precedence(row: &EvalResult) -> (bool, i64) {
    (row.step.is_none(), row.step.unwrap_or_default())
}

/// Returns the primary eval: the first post-training row tagged `test`, or else the first
/// post-training row, or else the first row. Rows with a `model_ref` are never primary.
pub(crate) fn primary(rows: &[EvalResult]) -> Option<&EvalResult> {
    let mut seen = HashSet::new();
    rows.iter()
        .filter(|row| seen.insert((row.name.as_str(), row.step)))
        .filter(|row| row.model_ref.is_none())
        .min_by_key(|row| primary_class(row))
}

/// Returns the class of a row. The primary eval is the first row of the lowest class.
fn primary_class(row: &EvalResult) -> u8 {
    if row.step.is_some() {
        2
    } else {
        u8::from(!row.tags.iter().any(|tag| tag == "test"))
    }
}

/// Returns the score of an arm on a metric, and its source.
pub(crate) fn score(arm: &ArmResult, metric: &str) -> Result<Option<Score>> {
    if metric.is_empty() {
        return Err(Error::name_invalid("metric", "metric must not be empty"));
    }
    // Names and keys are never empty, so a dot at the start or the end is not tried.
    let split = metric
        .match_indices('.')
        .map(|(dot, _)| (&metric[..dot], &metric[dot + 1..]))
        .filter(|(name, key)| !name.is_empty() && !key.is_empty())
        .find_map(|(name, key)| score_of(find_eval(&arm.evals, name)?, key));
    Ok(split.or_else(|| bare_score(arm, metric)))
}

fn bare_score(arm: &ArmResult, key: &str) -> Option<Score> {
    let given = &arm.eval_metrics;
    let mirrored =
        primary(&arm.evals).filter(|row| given.is_empty() || same_metrics(given, &row.metrics));
    let of_evals = match mirrored {
        Some(row) => score_of(row, key),
        None => score_in(given, key, ScoreOrigin::GivenEvalMetrics),
    };
    of_evals.or_else(|| score_in(&arm.metrics, key, ScoreOrigin::TrainingMetrics))
}

fn score_of(row: &EvalResult, key: &str) -> Option<Score> {
    let origin = match row.step {
        None => ScoreOrigin::PostTrainingEval,
        Some(_) => ScoreOrigin::InLoopEval,
    };
    let mut found = score_in(&row.metrics, key, origin)?;
    found.source.eval_name = Some(row.name.clone());
    found.source.step = row.step;
    Some(found)
}

fn score_in(metrics: &BTreeMap<String, f64>, key: &str, origin: ScoreOrigin) -> Option<Score> {
    let source = ScoreSource {
        origin: origin.into(),
        key: key.to_owned(),
        eval_name: None,
        step: None,
    };
    metrics.get(key).map(|&value| Score { value, source })
}

/// Returns whether two sets of metrics are equal. NaN equals NaN.
#[allow(
    clippy::float_cmp,
    reason = "-0.0 equals 0.0, and nothing else is near enough"
)]
fn same_metrics(left: &BTreeMap<String, f64>, right: &BTreeMap<String, f64>) -> bool {
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    left.len() == right.len()
        && left
            .iter()
            .all(|(key, &value)| right.get(key).is_some_and(|&other| same(value, other)))
}
