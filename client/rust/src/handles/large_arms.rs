//! Whole arms that are larger than one call allows.

use std::collections::HashSet;
use std::mem;
use std::time::SystemTime;

use prost::Message;
use tonic::Code;

use super::ExperimentHandle;
use crate::error::{Error, Result};
use crate::v1::{
    ArmRecorded, ArmResult, ErrorReason, EvalRecorded, EvalResult, Event, RecordResponse,
};

/// Records an arm in one call if the server accepts it. Otherwise first records it with fewer rows,
/// and then the other rows.
pub(super) async fn record(
    experiment: &ExperimentHandle,
    mut arm: ArmResult,
) -> Result<RecordResponse> {
    let mut others = Vec::new();
    loop {
        let recorded = ArmRecorded {
            arm_result: Some(arm.clone()),
            replace: false,
        };
        match experiment.record([Event::now(recorded)]).await {
            Err(error) if is_too_large(&error) && !arm.evals.is_empty() => {
                if others.is_empty() {
                    prepare(&mut arm);
                }
                let rows = arm.evals.split_off(arm.evals.len() / 2);
                others.splice(0..0, rows);
            }
            recorded => return record_rows(experiment, &arm.name, others, recorded?).await,
        }
    }
}

async fn record_rows(
    experiment: &ExperimentHandle,
    arm: &str,
    mut rows: Vec<EvalResult>,
    mut found: RecordResponse,
) -> Result<RecordResponse> {
    let mut most = rows.len();
    while !rows.is_empty() {
        let count = most.min(rows.len());
        let events = rows[..count].iter().map(|row| event(arm, row.clone()));
        match experiment.record(events).await {
            Err(error) if is_too_large(&error) && count > 1 => most = count / 2,
            recorded => {
                let changed = found.changed_events;
                found = recorded?;
                found.changed_events += changed;
                rows.drain(..count);
            }
        }
    }
    Ok(found)
}

fn event(arm: &str, row: EvalResult) -> Event {
    Event {
        event_time: row.event_time.or_else(|| Some(SystemTime::now().into())),
        kind: Some(
            EvalRecorded {
                arm: arm.to_owned(),
                attempt_id: None,
                eval_result: Some(row),
            }
            .into(),
        ),
    }
}

/// Returns whether the call as a whole is too large, rather than one of its events.
fn is_too_large(error: &Error) -> bool {
    let is_limit = error.is(ErrorReason::LimitExceeded);
    // gRPC itself rejects messages over twice the limit.
    let is_grpcs = error.code() == Code::ResourceExhausted && error.reason().is_empty();
    (is_limit && error.refusals().is_empty()) || is_grpcs
}

/// Removes fields that mean something else in a call with only some of the rows: rows that repeat
/// the name and step of an earlier one, and eval fields that repeat those of the primary eval.
fn prepare(arm: &mut ArmResult) {
    let mut seen = HashSet::new();
    let rows = mem::take(&mut arm.evals).into_iter();
    arm.evals = rows
        .filter(|row| seen.insert((row.name.clone(), row.step)))
        .collect();
    let primary = arm.primary_eval().cloned().unwrap_or_default();
    let given = EvalResult {
        metrics: arm.eval_metrics.clone(),
        breakdowns: arm.eval_breakdowns.clone(),
        ..Default::default()
    };
    let seconds = primary.eval_seconds;
    let own = EvalResult {
        metrics: primary.metrics,
        breakdowns: primary.breakdowns,
        ..Default::default()
    };
    // As bytes, since NaN differs from itself.
    let is_mirror = given.encode_to_vec() == own.encode_to_vec();
    if is_mirror && (arm.eval_seconds.is_none() || arm.eval_seconds == seconds) {
        arm.eval_metrics.clear();
        arm.eval_breakdowns.clear();
        arm.eval_seconds = None;
    }
}
