//! Holds podium-client against the vectors of `tests/vectors`, over the wire and by itself.
//!
//! `podium-conformance PLAN`, where PLAN is a JSON file: a list of
//! `{"file": "…/reads_steps.json", "address": "127.0.0.1:1234"}` and of
//! `{"exchange": "write" or "read", "address": …, "experiment": …, "arm": an ArmResult}`.
//! It prints one JSON object a line: file, way, case, ok, detail. It exits 0 when it ran to its
//! end, whatever disagreed.

mod encode;
mod exchange;
mod json;
mod rankings;
mod reads;
mod writes;

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs};

use podium::Client;
use serde_json::{Value, json};

/// What a check found: nothing, or what disagreed.
pub(crate) type Verdict = Result<(), String>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let plan = env::args().nth(1).ok_or("usage: podium-conformance PLAN")?;
    for entry in read_json(&plan)?.as_array().ok_or("a plan is a list")? {
        let client = Client::connect(text(entry, "address")?)?;
        if entry.get("exchange").is_some() {
            exchange(&client, entry).await?;
        } else {
            vectors(&client, text(entry, "file")?).await?;
        }
    }
    Ok(())
}

async fn exchange(client: &Client, entry: &Value) -> Result<(), Box<dyn Error>> {
    let way = text(entry, "exchange")?;
    let experiment = client.experiment(text(entry, "experiment")?);
    let arm = &entry["arm"];
    let verdict = match way {
        "write" => exchange::write(&experiment, arm).await,
        _ => exchange::read(&experiment, arm).await,
    };
    let case = format!("{}/{}", experiment.name(), text(arm, "name")?);
    report("exchange", way, &case, &verdict);
    Ok(())
}

async fn vectors(client: &Client, path: &str) -> Result<(), Box<dyn Error>> {
    let file = Path::new(path).file_name().ok_or("a file has a name")?;
    let file = file.to_string_lossy();
    let vectors = read_json(path)?;
    for case in vectors["cases"].as_array().ok_or("cases is a list")? {
        let name = text(case, "name")?;
        let experiment = client.experiment(experiment_name());
        if file.starts_with("reads") {
            report(&file, "wire", name, &reads::wire(&experiment, case).await);
            report(&file, "pure", name, &reads::pure(case).await);
        } else if file.starts_with("rank") {
            let verdict = rankings::run(&experiment, case).await;
            report(&file, "wire", name, &verdict);
        } else {
            let verdict = writes::run(client.calls(), experiment.name(), case).await;
            report(&file, "wire", name, &verdict);
        }
    }
    Ok(())
}

fn report(file: &str, way: &str, case: &str, verdict: &Verdict) {
    let detail = verdict.as_ref().err().map_or("", String::as_str);
    let ok = verdict.is_ok();
    println!(
        "{}",
        json!({"file": file, "way": way, "case": case, "ok": ok, "detail": detail})
    );
}

/// A name that no other case of this run has.
fn experiment_name() -> String {
    static CASES: AtomicU64 = AtomicU64::new(0);
    let number = CASES.fetch_add(1, Ordering::Relaxed) + 1;
    format!("conformance/rust/{number}")
}

fn read_json(path: &str) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn text<'a>(object: &'a Value, key: &str) -> Result<&'a str, String> {
    let found = object[key].as_str();
    found.ok_or_else(|| format!("{key} is missing in {object}"))
}
