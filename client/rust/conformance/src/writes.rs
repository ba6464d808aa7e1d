//! `writes*.json`: what `Record` and the deletions do.

use std::collections::BTreeMap;

use podium::{Calls, Error};
use prost_reflect::DynamicMessage;
use serde_json::{Map, Value, json};

use crate::Verdict;
use crate::json::{check, descriptor, dynamic, typed};

type Answer = Result<DynamicMessage, Error>;

/// Makes every call of a case in an experiment that is the case's own.
pub(crate) async fn run(calls: &Calls, experiment: &str, case: &Value) -> Verdict {
    for (index, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let verdict = run_step(calls, experiment, step).await;
        verdict.map_err(|detail| format!("step {index}: {detail}"))?;
    }
    Ok(())
}

async fn run_step(calls: &Calls, experiment: &str, step: &Value) -> Verdict {
    let method = step["call"].as_str().ok_or("no call")?;
    let answer = call(calls, method, request(method, experiment, step)?).await?;
    match (answer, step.get("refused")) {
        (Ok(found), None) => check(step.get("response").unwrap_or(&json!({})), &found, method),
        (Err(error), Some(refused)) => check_refusal(refused, &error),
        (Ok(found), Some(_)) => Err(format!("not refused: {found:?}")),
        (Err(error), None) => Err(error.to_string()),
    }
}

fn request(method: &str, experiment: &str, step: &Value) -> Result<Value, String> {
    let mut request = Map::new();
    let kind = descriptor(&format!("{method}Request"))?;
    if kind.get_field_by_name("experiment").is_some() {
        request.insert("experiment".to_owned(), experiment.into());
    }
    request.extend(step["request"].as_object().cloned().unwrap_or_default());
    Ok(request.into())
}

async fn call(calls: &Calls, method: &str, request: Value) -> Result<Answer, String> {
    macro_rules! call {
        ($rpc:ident) => {{
            let request = typed(&format!("{method}Request"), &request)?;
            match calls.$rpc(request).await {
                Ok(response) => Ok(dynamic(&format!("{method}Response"), &response)?),
                Err(error) => Err(error),
            }
        }};
    }
    Ok(match method {
        "Eval" => call!(eval),
        "Score" => call!(score),
        "GetArm" => call!(get_arm),
        "ListArms" => call!(list_arms),
        "ListEvals" => call!(list_evals),
        "GetExperiment" => call!(get_experiment),
        "ListExperiments" => call!(list_experiments),
        "Rank" => call!(rank),
        "Scores" => call!(scores),
        "Record" => call!(record),
        "DeleteArm" => call!(delete_arm),
        "DeleteExperiment" => call!(delete_experiment),
        other => return Err(format!("this runner does not know {other}")),
    })
}

fn check_refusal(expected: &Value, error: &Error) -> Verdict {
    let found = json!({
        "code": error.code_name(),
        "reason": error.reason(),
        "permanent": refused(error, true),
        "wait": refused(error, false),
    });
    let empty = json!({});
    for (key, value) in found.as_object().into_iter().flatten() {
        if value != expected.get(key).unwrap_or(&empty) {
            return Err(format!("{key} is {value}: {error}"));
        }
    }
    for (key, value) in expected["metadata"].as_object().into_iter().flatten() {
        if error.metadata().get(key).map(String::as_str) != value.as_str() {
            return Err(format!("metadata are {:?}", error.metadata()));
        }
    }
    let mut parts = expected["text"].as_array().into_iter().flatten();
    let says = parts.all(|part| error.message().contains(part.as_str().unwrap_or_default()));
    says.then_some(()).ok_or(format!("the text is {error}"))
}

/// The reasons of the refused events of one kind, by the index of the event.
fn refused(error: &Error, permanent: bool) -> BTreeMap<String, &'static str> {
    let events = error.refusals().iter();
    events
        .filter(|event| event.permanent == permanent)
        .map(|event| {
            let reason = event.reason.as_str_name();
            let reason = reason.strip_prefix("ERROR_REASON_").unwrap_or(reason);
            (event.index.to_string(), reason)
        })
        .collect()
}
