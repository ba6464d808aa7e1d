//! Records an arm and asks about it, at the server that `PODIUM_ADDRESS` names:
//! `cargo run --example quickstart`.

use podium::v1::{ArmResult, ArmStatus, EvalResult, ExperimentDeclared, RankRequest, RunConfig};
use podium::{Client, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::from_env()?; // PODIUM_ADDRESS, or localhost:50051

    let experiment = client.experiment("rust_quickstart");
    let declared = ExperimentDeclared {
        success_metric: Some("test.pass_rate".to_owned()),
        ..Default::default()
    };
    experiment.declare(declared).await?;
    experiment.record_arm(trained_arm()).await?;

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

fn trained_arm() -> ArmResult {
    let row = |name: &str, step, pass_rate| EvalResult {
        name: name.to_owned(),
        step,
        metrics: [("pass_rate".to_owned(), pass_rate)].into(),
        ..Default::default()
    };
    ArmResult {
        name: "lora_rank4".to_owned(),
        run_config: Some(RunConfig {
            name: "lora_rank4".to_owned(),
            ..Default::default()
        }),
        status: ArmStatus::Completed.into(),
        metrics: [("loss".to_owned(), 0.31)].into(),
        evals: vec![row("val", Some(100), 0.52), row("test", None, 0.61)],
        ..Default::default()
    }
}
