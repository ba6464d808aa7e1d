//! What an arm in your hands answers by itself. The vectors of the project say the rest: see
//! `conformance`.

#![allow(clippy::float_cmp, reason = "these numbers come back exactly")]

use std::collections::BTreeMap;

use podium::Code;
use podium::v1::{ArmResult, ErrorReason, EvalResult, ScoreOrigin, Value, value::Kind};
use prost::Message;

fn row(name: &str, step: Option<i64>, value: f64) -> EvalResult {
    EvalResult {
        name: name.to_owned(),
        step,
        metrics: [("acc".to_owned(), value)].into(),
        ..Default::default()
    }
}

fn arm(evals: Vec<EvalResult>) -> ArmResult {
    ArmResult {
        evals,
        metrics: [("loss".to_owned(), 0.3)].into(),
        ..Default::default()
    }
}

/// A post-training row answers before in-loop rows, and a step is matched exactly.
#[test]
fn eval_finds_rows() {
    let arm = arm(vec![row("val", Some(0), 0.1), row("val", None, 0.2)]);
    assert_eq!(arm.eval("val").unwrap().metrics["acc"], 0.2);
    assert_eq!(arm.eval_at("val", 0).unwrap().metrics["acc"], 0.1);
    assert_eq!(arm.eval_at("val", 1), None);
    assert_eq!(arm.eval("test"), None);
}

/// A score says where it came from, and NaN is one.
#[test]
fn score_finds_numbers() {
    let arm = arm(vec![row("val", Some(7), f64::NAN)]);
    let found = arm.find_score("val.acc").unwrap().unwrap();
    assert!(found.value.is_nan());
    assert_eq!(found.source.origin(), ScoreOrigin::InLoopEval);
    assert_eq!(found.source.step, Some(7));
    assert_eq!(arm.score("loss").unwrap(), Some(0.3));
    assert_eq!(arm.score("val.loss").unwrap(), None);
}

/// An empty metric is an error that says so, without a server.
#[test]
fn an_empty_metric_is_refused() {
    let error = arm(vec![]).score("").unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.is(ErrorReason::NameInvalid));
    assert!(!error.is(ErrorReason::FieldMissing));
    assert_eq!(
        error.to_string(),
        "INVALID_ARGUMENT (NAME_INVALID): metric must not be empty"
    );
}

/// What was left empty reads as the primary eval's, and what was given stands.
#[test]
fn the_primary_eval_is_mirrored() {
    let mut arm = arm(vec![row("val", None, 0.2)]);
    assert_eq!(arm.effective_eval_metrics()["acc"], 0.2);
    assert_eq!(arm.effective_eval_seconds(), None);
    arm.eval_metrics.insert("acc".to_owned(), 0.9);
    assert_eq!(arm.effective_eval_metrics()["acc"], 0.9);
    assert_eq!(arm.score("acc").unwrap(), Some(0.9));
}

/// -0.0 keeps its sign through the bytes of a message, in a map as in a field.
#[test]
fn negative_zeros_are_written() {
    let mut row = row("val", None, -0.0);
    row.eval_seconds = Some(-0.0);
    let bytes = row.encode_to_vec();
    assert_eq!(bytes.len(), row.encoded_len());
    let read = EvalResult::decode(bytes.as_slice()).unwrap();
    assert!(read.metrics["acc"].is_sign_negative());
    assert!(read.eval_seconds.unwrap().is_sign_negative());
}

/// Values are made of plain data and read as such, and integers stay integers.
#[test]
fn values_are_made_of_plain_data() {
    let value: Value = BTreeMap::from([("rank".to_owned(), vec![4])]).into();
    let rank = &value.as_map().unwrap()["rank"].as_list().unwrap()[0];
    assert_eq!((rank.as_i64(), rank.as_f64()), (Some(4), None));
    assert_eq!(rank.kind, Some(Kind::IntValue(4)));
    assert_eq!(Value::from(4.0).as_f64(), Some(4.0));
    assert_eq!(Value::from("x").as_str(), Some("x"));
    assert_eq!(Value::from(false).as_bool(), Some(false));
    assert_eq!(Value::null().kind, Some(Kind::NullValue(0)));
    assert!(Value::null().is_null() && !Value::from(0).is_null());
}
