//! The client against the server that `PODIUM_ADDRESS` names.

#![allow(clippy::float_cmp, reason = "these numbers come back exactly")]

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use podium::v1::{
    ArmResult, ArmStatus, ErrorReason, EvalRecorded, EvalResult, Event, ExperimentDeclared,
    ListArmsRequest, ListEvalsRequest, ListExperimentsRequest, MetricsRecorded, RankRequest,
    RunConfig, StreamPosition,
};
use podium::{Client, Code, ExperimentHandle};

/// A new experiment, declared.
async fn experiment(client: &Client, name: &str) -> ExperimentHandle {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let experiment = client.experiment(format!("rust_tests/{}/{name}", now.as_nanos()));
    let declared = ExperimentDeclared {
        success_metric: Some("acc".to_owned()),
        ..Default::default()
    };
    experiment.declare(declared).await.unwrap();
    experiment
}

fn client() -> Client {
    let address = env::var("PODIUM_ADDRESS");
    let address = address.expect("PODIUM_ADDRESS names a server: start one with `podium serve`");
    Client::connect(&address).unwrap()
}

fn row(name: &str, step: Option<i64>, value: f64) -> EvalResult {
    EvalResult {
        name: name.to_owned(),
        step,
        metrics: [("acc".to_owned(), value)].into(),
        ..Default::default()
    }
}

fn arm(name: &str, evals: Vec<EvalResult>) -> ArmResult {
    ArmResult {
        name: name.to_owned(),
        run_config: Some(RunConfig {
            name: name.to_owned(),
            ..Default::default()
        }),
        status: ArmStatus::Completed.into(),
        evals,
        ..Default::default()
    }
}

/// An arm with more values than one call allows is recorded in several calls, as if it were one.
#[tokio::test]
async fn large_arms_take_several_calls() {
    let experiment = experiment(&client(), "large").await;
    let metrics = |value: f64| (0..10).map(move |key| (format!("m{key}"), value));
    let rows = (0..1_200_i32).map(|step| EvalResult {
        metrics: metrics(f64::from(step)).collect(),
        ..row("val", Some(step.into()), 0.0)
    });
    let repeated = row("val", Some(7), 99.0); // The first row of a step counts.
    let rows = rows.chain([repeated, row("test", None, 0.5)]).collect();
    let large = ArmResult {
        eval_metrics: [("acc".to_owned(), 0.5)].into(), // The metrics of the last row.
        ..arm("a", rows)
    };
    experiment.record_arm(large).await.unwrap();
    let stored = experiment.arm("a").get().await.unwrap();
    let values = stored
        .evals
        .iter()
        .map(|row| row.metrics.get("m9").copied());
    let expected = (0..1_200_i32).map(|step| Some(f64::from(step)));
    assert!(values.eq(expected.chain([None])));
    assert_eq!(stored.score("acc").unwrap(), Some(0.5));
}

/// What was recorded is answered: rows, scores, nothing, and the arm as a whole.
#[tokio::test]
async fn records_and_asks() {
    let experiment = experiment(&client(), "asks").await;
    let rows = vec![row("val", Some(0), 0.1), row("val", Some(9), 0.2)];
    experiment.record_arm(arm("a", rows)).await.unwrap();
    let arm = experiment.arm("a");
    arm.log([("loss", f64::NAN)], None).await.unwrap();
    arm.log_eval(row("test", None, 0.5)).await.unwrap();

    assert_eq!(arm.eval("val").await.unwrap().unwrap().step, Some(9));
    assert_eq!(
        arm.eval_at("val", 0).await.unwrap().unwrap().metrics["acc"],
        0.1
    );
    assert_eq!(arm.eval_at("val", 1).await.unwrap(), None);
    assert_eq!(arm.score("acc").await.unwrap(), Some(0.5));
    assert!(arm.score("loss").await.unwrap().unwrap().is_nan());
    assert_eq!(arm.score("nothing").await.unwrap(), None);
    let snapshot = arm.get().await.unwrap();
    assert_eq!(snapshot.evals.len(), 3);
    assert_eq!(snapshot.score("val.acc").unwrap(), Some(0.2));
    assert_eq!(
        experiment
            .get()
            .await
            .unwrap()
            .arm_counts
            .unwrap()
            .completed,
        1
    );
}

/// An arm whose rows fill several pages is read as a whole.
#[tokio::test]
async fn reads_every_page_of_an_arm() {
    let experiment = experiment(&client(), "pages").await;
    experiment.record_arm(arm("a", vec![])).await.unwrap();
    for batch in 0..3 {
        let steps = (0..1000).map(|number| batch * 1000 + number);
        let events = steps.map(|step| {
            Event::now(EvalRecorded {
                arm: "a".to_owned(),
                eval_result: Some(EvalResult {
                    tags: vec!["x".repeat(200); 5],
                    ..row("val", Some(step), 0.0)
                }),
                ..Default::default()
            })
        });
        experiment.record(events).await.unwrap();
    }
    let found = experiment.arm("a").get().await.unwrap();
    let steps: Vec<_> = found.evals.iter().filter_map(|row| row.step).collect();
    assert_eq!(steps, (0..3000).collect::<Vec<_>>());
    let some = ListEvalsRequest {
        min_step: Some(10),
        max_step: Some(12),
        page_size: 2,
        ..Default::default()
    };
    let listed = experiment.arm("a").evals(some).all().await.unwrap();
    let steps: Vec<_> = listed.iter().filter_map(|row| row.step).collect();
    assert_eq!(steps, [10, 11, 12]);
}

/// Lists go through all of their pages, and a ranking is whole or its first places.
#[tokio::test]
async fn lists_and_ranks() {
    let client = client();
    let experiment = experiment(&client, "lists").await;
    for (name, score) in [("a", 0.1), ("b", 0.3), ("c", 0.2)] {
        experiment
            .record_arm(arm(name, vec![row("test", None, score)]))
            .await
            .unwrap();
    }
    let mut listed = experiment.arms(ListArmsRequest {
        page_size: 2,
        ..Default::default()
    });
    let mut names = Vec::new();
    while let Some(arm) = listed.next().await {
        names.push(arm.unwrap().name);
    }
    assert_eq!(names, ["a", "b", "c"]);

    let request = ListExperimentsRequest {
        name_prefix: Some(experiment.name().to_owned()),
        ..Default::default()
    };
    assert_eq!(client.experiments(request).all().await.unwrap().len(), 1);

    let whole = experiment.rank(RankRequest::default(), None).await.unwrap();
    let places: Vec<_> = whole
        .arms
        .iter()
        .map(|arm| (arm.arm.as_str(), arm.rank))
        .collect();
    assert_eq!(places, [("b", Some(1)), ("c", Some(2)), ("a", Some(3))]);
    let top = experiment
        .rank(RankRequest::default(), Some(1))
        .await
        .unwrap();
    assert_eq!(top.arms.len(), 1);
    let by_group = RankRequest {
        by_group: true,
        ..Default::default()
    };
    let groups = experiment.rank(by_group, Some(2)).await.unwrap().groups;
    assert_eq!(groups.len(), 2);
}

/// Errors carry their code, reason, metadata and every refused event; a list ends with its error.
#[tokio::test]
async fn errors_say_why() {
    let client = client();
    let experiment = experiment(&client, "errors").await;
    let error = experiment.arm("nobody").eval("val").await.unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (Code::NotFound, "ARM_NOT_FOUND")
    );
    assert_eq!(error.metadata()["arm"], "nobody");

    let metrics = |arm: &str| {
        Event::now(MetricsRecorded {
            arm: arm.to_owned(),
            ..Default::default()
        })
    };
    let events = vec![metrics("nobody"), metrics("")];
    let error = experiment.record(events).await.unwrap_err();
    let refused: Vec<_> = error
        .refusals()
        .iter()
        .map(|e| (e.index, e.reason.as_str(), e.permanent))
        .collect();
    assert_eq!(
        refused,
        [(0, "ARM_NOT_FOUND", false), (1, "NAME_INVALID", true)]
    );

    let mut listed = client
        .experiment("nowhere")
        .arms(ListArmsRequest::default());
    assert_eq!(
        listed.next().await.unwrap().unwrap_err().code(),
        Code::NotFound
    );
    assert!(listed.next().await.is_none());
}

/// A call with a position is applied once, and what is deleted is gone.
#[tokio::test]
async fn streams_and_deletions() {
    let client = client();
    let experiment = experiment(&client, "streams").await;
    experiment.record_arm(arm("a", vec![])).await.unwrap();
    let event = Event::now(MetricsRecorded {
        arm: "a".to_owned(),
        metrics: [("loss".to_owned(), 0.5)].into(),
        ..Default::default()
    });
    let position = StreamPosition {
        writer_id: "writer".to_owned(),
        first_sequence: 1,
    };
    for skipped in [0, 1] {
        let recorded = experiment.record_at(position.clone(), [event.clone()]);
        assert_eq!(recorded.await.unwrap().skipped_events, skipped);
    }
    experiment.arm("a").delete(false).await.unwrap();
    let error = experiment.arm("a").get().await.unwrap_err();
    assert!(error.is(ErrorReason::ArmNotFound));
    experiment.delete(false).await.unwrap();
    assert_eq!(
        experiment.get().await.unwrap_err().reason(),
        "EXPERIMENT_NOT_FOUND"
    );
    experiment.delete(true).await.unwrap();
}
