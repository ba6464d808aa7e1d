//! Attempts against the server that `PODIUM_ADDRESS` names.

#![allow(clippy::float_cmp, reason = "these numbers come back exactly")]

use std::env;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::join_all;
use podium::v1::arm_started::Mode;
use podium::v1::{
    ArmFinished, ArmResult, ArmStarted, ArmStatus, Attempt, EvalResult, ExperimentDeclared,
    ListSeriesRequest, RunConfig,
};
use podium::{ArmRun, Client, Error, ExperimentHandle};
use tokio::sync::oneshot;
use tokio::time::sleep;

fn client() -> Client {
    let address = env::var("PODIUM_ADDRESS");
    let address = address.expect("PODIUM_ADDRESS names a server: start one with `podium serve`");
    Client::connect(&address).unwrap()
}

/// A new experiment, declared.
async fn experiment(name: &str) -> ExperimentHandle {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let experiment = client().experiment(format!("rust_tests/{}/{name}", now.as_nanos()));
    let declared = ExperimentDeclared::default();
    experiment.declare(declared).await.unwrap();
    experiment
}

fn config() -> RunConfig {
    RunConfig {
        name: "lora".to_owned(),
        ..Default::default()
    }
}

fn options(order: i64, mode: Option<Mode>) -> ArmStarted {
    let attempt = Some(Attempt {
        id: String::new(),
        order: Some(order),
    });
    ArmStarted {
        attempt,
        mode,
        ..Default::default()
    }
}

async fn stored(experiment: &ExperimentHandle) -> ArmResult {
    experiment.arm("lora").get().await.unwrap()
}

fn ending(arm: &ArmResult) -> (ArmStatus, &str) {
    (arm.status(), arm.error())
}

/// An attempt records metrics with and without a step, rows and its end; it reads the arm, too.
#[tokio::test]
async fn an_attempt_is_recorded() {
    let experiment = experiment("recorded").await;
    let started = experiment.start_arm(config(), ArmStarted::default());
    let run = started.await.unwrap();
    run.log([("loss", 0.5)], 100).await.unwrap();
    run.log([("tokens", 7.0)], None).await.unwrap();
    let row = EvalResult {
        name: "val".to_owned(),
        step: Some(100),
        metrics: [("acc".to_owned(), 0.25)].into(),
        ..Default::default()
    };
    run.log_eval(row).await.unwrap();
    assert_eq!(run.arm().get().await.unwrap().status(), ArmStatus::Running);
    let end = ArmFinished {
        train_seconds: Some(1.5),
        ..ArmStatus::Completed.into()
    };
    run.finish(end).await.unwrap();

    let arm = stored(&experiment).await;
    assert_eq!(ending(&arm), (ArmStatus::Completed, ""));
    assert_eq!((arm.metrics["loss"], arm.metrics["tokens"]), (0.5, 7.0));
    assert_eq!(arm.train_seconds, Some(1.5));
    assert_eq!(arm.eval_at("val", 100).unwrap().metrics["acc"], 0.25);
    assert_eq!(arm.attempt.unwrap().id, run.attempt_id());
    let request = ListSeriesRequest {
        experiment: experiment.name().to_owned(),
        arm: "lora".to_owned(),
        ..Default::default()
    };
    let series = client().calls().list_series(request).await.unwrap().series;
    let [loss] = series.as_slice() else {
        panic!("one series: {series:?}")
    };
    assert_eq!(
        (loss.key.as_str(), &loss.steps, &loss.values),
        ("loss", &vec![100], &vec![0.5])
    );
}

/// A second attempt continues after a step or from the beginning, and the first is stale then.
#[tokio::test]
async fn attempts_follow_each_other() {
    let experiment = experiment("attempts").await;
    let first = experiment
        .start_arm(config(), options(1, None))
        .await
        .unwrap();
    for step in [0, 100] {
        first.log([("loss", 0.5)], step).await.unwrap();
    }
    let resumed = options(2, Some(Mode::ResumeStep(50)));
    experiment.start_arm(config(), resumed).await.unwrap();
    let error = first.log([("loss", 9.0)], 200).await.unwrap_err();
    assert_eq!(error.reason(), "STALE_ATTEMPT");
    assert_eq!(stored(&experiment).await.metrics["loss"], 0.5);

    let restarted = options(3, Some(Mode::Restart(true)));
    let last = experiment.start_arm(config(), restarted).await.unwrap();
    last.finish(ArmStatus::Completed).await.unwrap();
    let arm = stored(&experiment).await;
    assert_eq!((arm.metrics.len(), arm.status()), (0, ArmStatus::Completed));
}

/// After a call that was refused the attempt goes on, and tasks that share it do not collide.
#[tokio::test]
async fn an_attempt_goes_on() {
    let experiment = experiment("goes_on").await;
    let started = experiment.start_arm(config(), ArmStarted::default());
    let run = started.await.unwrap();
    let nameless = run.log_eval(EvalResult::default()).await.unwrap_err();
    assert_eq!(nameless.reason(), "NAME_INVALID");
    let calls = (0..20).map(|step| run.log([("loss", 0.5)], step));
    for call in join_all(calls).await {
        assert_eq!(call.unwrap().changed_events, 1);
    }
}

/// A block completes its arm, unless it has recorded another end.
#[tokio::test]
async fn blocks_that_return() {
    let experiment = experiment("returns").await;
    let block = async |run: &ArmRun| {
        run.log([("loss", 0.5)], None).await?;
        Ok::<_, Error>(7)
    };
    let seven = experiment.run_arm(config(), options(1, None), block).await;
    assert_eq!(seven, Ok(7));
    assert_eq!(
        ending(&stored(&experiment).await),
        (ArmStatus::Completed, "")
    );

    let block = async |run: &ArmRun| {
        run.finish(ArmStatus::Cancelled).await?;
        Ok::<_, Error>(())
    };
    let again = options(2, Some(Mode::Restart(true)));
    experiment.run_arm(config(), again, block).await.unwrap();
    assert_eq!(
        ending(&stored(&experiment).await),
        (ArmStatus::Cancelled, "")
    );
}

/// A block that returns an error or panics fails its arm, and the caller gets the error.
#[tokio::test]
async fn blocks_that_fail() {
    let experiment = experiment("fails").await;
    let block = async |_: &ArmRun| Err::<(), Box<dyn std::error::Error>>("out of memory".into());
    let failed = experiment.run_arm(config(), options(1, None), block).await;
    assert_eq!(failed.unwrap_err().to_string(), "out of memory");
    let arm = stored(&experiment).await;
    assert_eq!(ending(&arm), (ArmStatus::Failed, "out of memory"));

    let block = async |_: &ArmRun| -> Result<(), Error> { panic!("a bug") };
    let run = experiment.run_arm(config(), options(2, None), block);
    assert!(AssertUnwindSafe(run).catch_unwind().await.is_err());
    let arm = stored(&experiment).await;
    assert_eq!(ending(&arm), (ArmStatus::Failed, "the training panicked"));
}

/// A block whose future is dropped cancels its arm; it can run in a task.
#[tokio::test]
async fn blocks_that_are_dropped() {
    let experiment = experiment("dropped").await;
    let (begins, began) = oneshot::channel();
    let own = experiment.clone();
    let task = tokio::spawn(async move {
        let block = async |_: &ArmRun| {
            begins.send(()).unwrap();
            sleep(Duration::from_secs(600)).await;
            Ok::<_, Error>(())
        };
        own.run_arm(config(), ArmStarted::default(), block).await
    });
    began.await.unwrap();
    task.abort();
    while stored(&experiment).await.status() == ArmStatus::Running {
        sleep(Duration::from_millis(10)).await;
    }
    let arm = stored(&experiment).await;
    let error = "the future of the training was dropped";
    assert_eq!(ending(&arm), (ArmStatus::Cancelled, error));
}
