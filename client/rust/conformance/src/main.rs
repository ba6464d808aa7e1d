//! Answers each request that it reads with what podium-client answers: see
//! `tests/conformance/README.md` of the project.

mod connect;

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podium::v1::{
    ArmResult, EvalRequest, EvalResponse, EvalResult, GetArmRequest, GetArmResponse,
    GetExperimentRequest, GetExperimentResponse, RankRequest, RecordRequest, ScoreRequest,
    ScoreResponse, ScoresRequest, WatchRequest, event::Kind,
};
use podium::{ArmRun, Client, Error, Score};
use prost::Message;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut clients = HashMap::new();
    let mut attempts = HashMap::new();
    for line in io::stdin().lock().lines() {
        let asked = Asked(serde_json::from_str(&line?)?);
        if asked.text("call") == "Watch" {
            println!("{}", watched(&asked, &mut clients).await);
            continue;
        }
        let response = Box::pin(respond(&asked, &mut clients, &mut attempts)).await;
        let answer = match response {
            Ok(response) => json!({"response": STANDARD.encode(response)}),
            Err(error) => json!({"error": said(&error)}),
        };
        println!("{answer}");
    }
    Ok(())
}

/// A request: the way, the name of the call, its request, and the address or the arm.
struct Asked(Value);

impl Asked {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().expect("a text")
    }

    fn message<M: Message + Default>(&self, name: &str) -> M {
        let bytes = STANDARD.decode(self.text(name)).expect("base64");
        M::decode(bytes.as_slice()).expect("a message")
    }

    fn request<M: Message + Default>(&self) -> M {
        self.message("request")
    }
}

fn said(error: &Error) -> Value {
    let refusals = error.refusals().iter().map(|event| {
        json!({
            "index": event.index,
            "reason": event.reason,
            "permanent": event.permanent,
            "message": event.message,
        })
    });
    json!({
        "code": error.code_name(),
        "reason": error.reason(),
        "message": error.message(),
        "metadata": error.metadata(),
        "refusals": refusals.collect::<Vec<_>>(),
    })
}

async fn respond(
    asked: &Asked,
    clients: &mut HashMap<String, Client>,
    attempts: &mut Attempts,
) -> Result<Vec<u8>, Error> {
    if asked.text("way") == "pure" {
        return ask_arm(&asked.message("arm"), asked);
    }
    if !asked.0["protocol"].is_null() {
        return connect::call(asked);
    }
    let client = client_of(asked, clients)?;
    match asked.text("way") {
        "client" => ask_client(&client, asked).await,
        "attempt" => record_attempt(&client, asked, attempts).await,
        _ => call_stub(&client, asked).await,
    }
}

fn client_of(asked: &Asked, clients: &mut HashMap<String, Client>) -> Result<Client, Error> {
    let address = asked.text("address");
    if !clients.contains_key(address) {
        clients.insert(address.to_owned(), Client::connect(address)?);
    }
    let client = clients[address].clone();
    Ok(
        match asked.0["timeout_ms"].as_u64().map(Duration::from_millis) {
            Some(timeout) => client.with_timeouts(timeout, timeout),
            None => client,
        },
    )
}

/// Answers with the updates of a watch, and with the error that ends it.
async fn watched(asked: &Asked, clients: &mut HashMap<String, Client>) -> Value {
    let request: WatchRequest = asked.request();
    let client = client_of(asked, clients).expect("a client");
    let mut updates = client.experiment(request.experiment.clone()).watch(request);
    let take = asked.0["take"].as_u64().unwrap_or_default();
    let mut responses = Vec::new();
    while let Some(update) = updates.next().await {
        match update {
            Ok(update) => responses.push(STANDARD.encode(update.encode_to_vec())),
            Err(error) => return json!({"responses": responses, "error": said(&error)}),
        }
        if responses.len() as u64 == take {
            break;
        }
    }
    json!({"responses": responses})
}

fn ask_arm(arm: &ArmResult, asked: &Asked) -> Result<Vec<u8>, Error> {
    Ok(match asked.text("call") {
        "Eval" => {
            let request: EvalRequest = asked.request();
            let row = match request.step {
                Some(step) => arm.eval_at(&request.name, step),
                None => arm.eval(&request.name),
            };
            eval_response(row.cloned())
        }
        "Score" => score_response(arm.find_score(&asked.request::<ScoreRequest>().metric)?),
        _ => whole(arm.clone()),
    })
}

async fn ask_client(client: &Client, asked: &Asked) -> Result<Vec<u8>, Error> {
    Ok(match asked.text("call") {
        "Eval" => {
            let request: EvalRequest = asked.request();
            let arm = client.arm(request.experiment, request.arm);
            eval_response(match request.step {
                Some(step) => arm.eval_at(&request.name, step).await?,
                None => arm.eval(&request.name).await?,
            })
        }
        "Score" => {
            let request: ScoreRequest = asked.request();
            let arm = client.arm(request.experiment, request.arm);
            score_response(arm.find_score(&request.metric).await?)
        }
        "GetArm" => {
            let request: GetArmRequest = asked.request();
            whole(client.arm(request.experiment, request.arm).get().await?)
        }
        "GetExperiment" => {
            let request: GetExperimentRequest = asked.request();
            let experiment = Some(client.experiment(request.experiment).get().await?);
            GetExperimentResponse { experiment }.encode_to_vec()
        }
        "Rank" => {
            let request: RankRequest = asked.request();
            let experiment = client.experiment(&request.experiment);
            experiment.rank(request, None).await?.encode_to_vec()
        }
        "Scores" => {
            let request: ScoresRequest = asked.request();
            let experiment = client.experiment(&request.experiment);
            experiment.scores(request).await?.encode_to_vec()
        }
        _ => {
            let request: RecordRequest = asked.request();
            let experiment = client.experiment(request.experiment);
            experiment.record(request.events).await?.encode_to_vec()
        }
    })
}

/// The newest attempt of each arm, by the names of the experiment and the arm.
type Attempts = HashMap<(String, String), ArmRun>;

/// Records an event by the handle of its arm's newest attempt.
async fn record_attempt(
    client: &Client,
    asked: &Asked,
    attempts: &mut Attempts,
) -> Result<Vec<u8>, Error> {
    let RecordRequest {
        experiment, events, ..
    } = asked.request();
    let kind = events.into_iter().find_map(|event| event.kind);
    let run = |arm: String| &attempts[&(experiment.clone(), arm)];
    match kind.expect("an event") {
        Kind::ArmStarted(mut started) => {
            let run_config = started.run_config.take().unwrap_or_default();
            let experiment = client.experiment(&experiment);
            let run = experiment.start_arm(run_config, started).await?;
            let arm = run.arm().name().to_owned();
            attempts.insert((experiment.name().to_owned(), arm), run);
        }
        Kind::MetricsRecorded(recorded) => {
            run(recorded.arm)
                .log(recorded.metrics, recorded.step)
                .await?;
        }
        Kind::EvalRecorded(recorded) => {
            run(recorded.arm)
                .log_eval(recorded.eval_result.unwrap_or_default())
                .await?;
        }
        Kind::ArmFinished(finished) => {
            run(finished.arm.clone()).finish(finished).await?;
        }
        other => panic!("an attempt does not record {other:?}"),
    }
    Ok(Vec::new())
}

/// Makes a call of either service as it is.
async fn call_stub(client: &Client, asked: &Asked) -> Result<Vec<u8>, Error> {
    macro_rules! stubs {
        ($($call:literal => $method:ident,)*) => {
            match asked.text("call") {
                $($call => client.calls().$method(asked.request()).await?.encode_to_vec(),)*
                other => panic!("no rpc is called {other}"),
            }
        };
    }
    Ok(stubs! {
        "Eval" => eval,
        "Score" => score,
        "GetArm" => get_arm,
        "ListArms" => list_arms,
        "ListEvals" => list_evals,
        "ListSeries" => list_series,
        "GetExperiment" => get_experiment,
        "ListExperiments" => list_experiments,
        "Rank" => rank,
        "Scores" => scores,
        "Record" => record,
        "DeleteArm" => delete_arm,
        "DeleteExperiment" => delete_experiment,
    })
}

fn eval_response(eval_result: Option<EvalResult>) -> Vec<u8> {
    EvalResponse { eval_result }.encode_to_vec()
}

fn score_response(score: Option<Score>) -> Vec<u8> {
    let (value, source) = score.map(|score| (score.value, score.source)).unzip();
    ScoreResponse { value, source }.encode_to_vec()
}

/// An arm as it reads, with the mirrors of its primary eval.
fn whole(mut arm: ArmResult) -> Vec<u8> {
    arm.eval_seconds = arm.effective_eval_seconds();
    (arm.eval_metrics, arm.eval_breakdowns) = (
        arm.effective_eval_metrics().clone(),
        arm.effective_eval_breakdowns().clone(),
    );
    let arm_result = Some(arm);
    let response = GetArmResponse {
        arm_result,
        ..Default::default()
    };
    response.encode_to_vec()
}
