//! `rank*.json`: what `Rank` answers, and what an experiment amounts to.

use podium::ExperimentHandle;
use podium::v1::{ArmRecorded, Event, ExperimentDeclared};
use serde_json::Value;

use crate::Verdict;
use crate::json::{check, dynamic, typed};

/// Records the arms of a case, and has the client rank them.
pub(crate) async fn run(experiment: &ExperimentHandle, case: &Value) -> Verdict {
    record(experiment, case).await?;
    for question in case["ranks"].as_array().into_iter().flatten() {
        let verdict = ask(experiment, question).await;
        verdict.map_err(|detail| format!("{}: {detail}", question["request"]))?;
    }
    let Some(wanted) = case["conclusion"]["status"].as_str() else {
        return Ok(());
    };
    let found = experiment.get().await.map_err(|error| error.to_string())?;
    let found = found.status().as_str_name();
    (found == wanted)
        .then_some(())
        .ok_or(format!("the experiment is {found}"))
}

async fn record(experiment: &ExperimentHandle, case: &Value) -> Verdict {
    let declared: ExperimentDeclared = typed("ExperimentDeclared", &case["experiment"])?;
    let mut events = vec![Event::now(declared)];
    for arm in case["arms"].as_array().into_iter().flatten() {
        events.push(Event::now(ArmRecorded {
            arm_result: Some(typed("ArmResult", arm)?),
            ..Default::default()
        }));
    }
    let recorded = experiment.record(events).await;
    recorded.map(|_| ()).map_err(|error| error.to_string())
}

async fn ask(experiment: &ExperimentHandle, question: &Value) -> Verdict {
    let request = typed("RankRequest", &question["request"])?;
    let answer = experiment.rank(request, None).await;
    match (answer, question.get("error")) {
        (Ok(found), None) => check(
            &question["response"],
            &dynamic("RankResponse", &found)?,
            "ranking",
        ),
        (Err(error), Some(wanted)) => {
            let same = wanted["code"] == error.code_name() && wanted["reason"] == error.reason();
            same.then_some(()).ok_or(error.to_string())
        }
        (Ok(found), Some(_)) => Err(format!("no error: {found:?}")),
        (Err(error), None) => Err(error.to_string()),
    }
}
