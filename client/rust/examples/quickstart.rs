//! Trains an arm and asks about it, at the server that `PODIUM_ADDRESS` names:
//! `cargo run --example quickstart`.

use podium::v1::arm_started::Mode;
use podium::v1::{ArmStarted, EvalResult, ExperimentDeclared, RankRequest, RunConfig};
use podium::{ArmRun, Client, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::from_env()?; // PODIUM_ADDRESS, or localhost:50051

    let experiment = client.experiment("rust_quickstart");
    let declared = ExperimentDeclared {
        success_metric: Some("test.pass_rate".to_owned()),
        ..Default::default()
    };
    experiment.declare(declared).await?;
    let run_config = RunConfig {
        name: "lora_rank4".to_owned(),
        ..Default::default()
    };
    let options = ArmStarted {
        mode: Some(Mode::Restart(true)), // even if an earlier attempt has completed
        ..Default::default()
    };
    experiment.run_arm(run_config, options, train).await?; // completed at the end; failed by an error

    let arm = client.arm("rust_quickstart", "lora_rank4"); // a handle; no call yet
    let row = arm.eval_at("val", 100).await?; // Option<EvalResult>
    println!("val at 100: {:?}", row.map(|row| row.metrics));
    println!("val at 99: {:?}", arm.eval_at("val", 99).await?);
    let score = arm.score("test.pass_rate").await?; // Option<f64>
    println!("test.pass_rate: {score:?}");

    let snapshot = arm.get().await?; // ArmResult: the same questions, no calls
    println!("val.pass_rate: {:?}", snapshot.score("val.pass_rate")?);

    for ranked in experiment.rank(RankRequest::default(), Some(3)).await?.arms {
        println!("{:?} {} {:?}", ranked.rank, ranked.arm, ranked.score);
    }

    if let Err(error) = client
        .arm("rust_quickstart", "lora_rank5")
        .eval("val")
        .await
    {
        println!("{} {}", error.code_name(), error.reason());
    }
    Ok(())
}

async fn train(run: &ArmRun) -> Result<()> {
    run.log([("loss", 0.31)], 100).await?; // at step 100
    run.log_eval(row("val", Some(100), 0.52)).await?;
    run.log_eval(row("test", None, 0.61)).await?; // after training: no step
    Ok(())
}

fn row(name: &str, step: Option<i64>, pass_rate: f64) -> EvalResult {
    EvalResult {
        name: name.to_owned(),
        step,
        metrics: [("pass_rate".to_owned(), pass_rate)].into(),
        ..Default::default()
    }
}
