//! The same arm, recorded from each language, reads back equal from all of them.

use podium::ExperimentHandle;
use podium::v1::{ArmResult, ExperimentDeclared};
use serde_json::Value;

use crate::Verdict;
use crate::json::{equal, typed};
use crate::reads::told;

/// Records the arm.
pub(crate) async fn write(experiment: &ExperimentHandle, arm: &Value) -> Verdict {
    let declared = experiment.declare(ExperimentDeclared::default()).await;
    declared.map_err(|error| error.to_string())?;
    let recorded = experiment.record_arm(typed("ArmResult", arm)?).await;
    recorded.map(|_| ()).map_err(|error| error.to_string())
}

/// Holds the arm that the server has against the one given, which says its mirrors too. What only
/// the server sets is left out.
pub(crate) async fn read(experiment: &ExperimentHandle, json: &Value) -> Verdict {
    let arm: ArmResult = typed("ArmResult", json)?;
    let found = experiment.arm(&arm.name).get().await;
    let found = found.map_err(|error| error.to_string())?;
    let mut evals = found.evals.clone();
    evals = evals.into_iter().map(told).collect();
    let told = ArmResult {
        evals,
        experiment: String::new(),
        revision: 0,
        create_time: None,
        update_time: None,
        attempt: None,
        ..found
    };
    equal("ArmResult", &told, &arm)
}
