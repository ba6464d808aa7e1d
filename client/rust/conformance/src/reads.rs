//! `reads*.json`: what `Eval` and `Score` answer.

use std::collections::HashSet;

use podium::v1::{ArmResult, EvalResult, ExperimentDeclared, ScoreResponse};
use podium::{ArmHandle, ExperimentHandle, Result, Score};
use serde_json::{Value, json};

use crate::Verdict;
use crate::json::{check, dynamic, equal, typed};

/// One way of asking an arm.
enum Way {
    Wire(Box<ArmHandle>),
    Pure(Box<ArmResult>),
}

impl Way {
    async fn eval(&self, name: &str, step: Option<i64>) -> Result<Option<EvalResult>> {
        match (self, step) {
            (Self::Wire(arm), None) => arm.eval(name).await,
            (Self::Wire(arm), Some(step)) => arm.eval_at(name, step).await,
            (Self::Pure(arm), None) => Ok(arm.eval(name).cloned()),
            (Self::Pure(arm), Some(step)) => Ok(arm.eval_at(name, step).cloned()),
        }
    }

    async fn score(&self, metric: &str) -> Result<(Option<Score>, Option<f64>)> {
        match self {
            Self::Wire(arm) => Ok((arm.find_score(metric).await?, arm.score(metric).await?)),
            Self::Pure(arm) => Ok((arm.find_score(metric)?, arm.score(metric)?)),
        }
    }
}

/// Records the arm, asks the server, and reads the arm back; or has the arm refused.
pub(crate) async fn wire(experiment: &ExperimentHandle, case: &Value) -> Verdict {
    let arm: ArmResult = typed("ArmResult", &case["arm"])?;
    let declared = experiment.declare(ExperimentDeclared::default()).await;
    declared.map_err(|error| error.to_string())?;
    let recorded = experiment.record_arm(arm.clone()).await;
    if let Some(reason) = case["refused"].as_str() {
        let found = recorded.map_or_else(|error| error.reason().to_owned(), |_| String::new());
        return (found == reason)
            .then_some(())
            .ok_or(format!("refused with {found:?}"));
    }
    recorded.map_err(|error| error.to_string())?;
    let handle = experiment.arm(&arm.name);
    ask(&Way::Wire(Box::new(handle.clone())), &arm, case).await?;
    let found = handle.get().await.map_err(|error| error.to_string())?;
    check(
        case.get("reads").unwrap_or(&json!({})),
        &dynamic("ArmResult", &found)?,
        "arm",
    )?;
    check_rows(&arm.evals, found.evals)
}

/// Asks the arm itself.
pub(crate) async fn pure(case: &Value) -> Verdict {
    let arm: ArmResult = typed("ArmResult", &case["arm"])?;
    ask(&Way::Pure(Box::new(arm.clone())), &arm, case).await?;
    let reads = ArmResult {
        eval_metrics: arm.effective_eval_metrics().clone(),
        eval_breakdowns: arm.effective_eval_breakdowns().clone(),
        eval_seconds: arm.effective_eval_seconds(),
        ..Default::default()
    };
    check(
        case.get("reads").unwrap_or(&json!({})),
        &dynamic("ArmResult", &reads)?,
        "arm",
    )
}

async fn ask(way: &Way, arm: &ArmResult, case: &Value) -> Verdict {
    for question in case["evals"].as_array().into_iter().flatten() {
        let verdict = ask_eval(way, arm, question).await;
        verdict.map_err(|detail| format!("{question}: {detail}"))?;
    }
    for question in case["scores"].as_array().into_iter().flatten() {
        let verdict = ask_score(way, question).await;
        verdict.map_err(|detail| format!("{question}: {detail}"))?;
    }
    Ok(())
}

async fn ask_eval(way: &Way, arm: &ArmResult, question: &Value) -> Verdict {
    let name = question["name"].as_str().ok_or("no name")?;
    let step = question["step"].as_str().map(str::parse).transpose();
    let step = step.map_err(|_| "a step is an integer")?;
    let answer = way
        .eval(name, step)
        .await
        .map_err(|error| error.to_string())?;
    let expected = question["row"]
        .as_u64()
        .map(|row| &arm.evals[usize::try_from(row).unwrap()]);
    match (answer.map(told), expected) {
        (None, None) => Ok(()),
        (Some(found), Some(row)) => equal("EvalResult", &found, row),
        (found, _) => Err(format!("{found:?}")),
    }
}

async fn ask_score(way: &Way, question: &Value) -> Verdict {
    let metric = question["metric"].as_str().ok_or("no metric")?;
    let expected_error = question["error"].as_str();
    let (found, value) = match way.score(metric).await {
        Ok(found) => found,
        Err(error) if Some(error.code_name()) == expected_error => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let whole = ScoreResponse {
        value: found.as_ref().map(|score| score.value),
        source: found.map(|score| score.source),
    };
    if expected_error.is_some() || whole.value.map(f64::to_bits) != value.map(f64::to_bits) {
        return Err(format!("{whole:?}, {value:?}"));
    }
    equal(
        "ScoreResponse",
        &whole,
        &typed("ScoreResponse", &question["answer"])?,
    )
}

/// The rows come back as they were, without those that repeat an identity.
fn check_rows(given: &[EvalResult], found: Vec<EvalResult>) -> Verdict {
    let mut seen = HashSet::new();
    let mut expected = given.to_vec();
    expected.retain(|row| seen.insert((row.name.clone(), row.step)));
    let evals = found.into_iter().map(told).collect();
    let arm = |evals| ArmResult {
        evals,
        ..Default::default()
    };
    equal("ArmResult", &arm(evals), &arm(expected))
}

/// A row as its writer told it, without what the server adds.
pub(crate) fn told(mut row: EvalResult) -> EvalResult {
    row.revision = 0;
    row.event_time = None;
    row.record_time = None;
    row
}
