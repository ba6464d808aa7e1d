//! Makes calls over HTTP in the protocol Connect, as JSON or in binary.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use podium::{Code, Error, v1};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;
use tonic_types::pb::Status as Details;

use crate::Asked;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET).expect("descriptors"));

/// Returns the response to a call, in binary, or its error.
pub fn call(asked: &Asked) -> Result<Vec<u8>, Error> {
    macro_rules! call_by_name {
        ($($call:literal => $request:ident, $response:ident;)*) => {
            match asked.text("call") {
                $($call => call_as::<v1::$request, v1::$response>(asked),)*
                other => panic!("no rpc is called {other}"),
            }
        };
    }
    call_by_name! {
        "Eval" => EvalRequest, EvalResponse;
        "Score" => ScoreRequest, ScoreResponse;
        "GetArm" => GetArmRequest, GetArmResponse;
        "ListArms" => ListArmsRequest, ListArmsResponse;
        "ListEvals" => ListEvalsRequest, ListEvalsResponse;
        "ListSeries" => ListSeriesRequest, ListSeriesResponse;
        "GetExperiment" => GetExperimentRequest, GetExperimentResponse;
        "Rank" => RankRequest, RankResponse;
        "Record" => RecordRequest, RecordResponse;
        "DeleteArm" => DeleteArmRequest, DeleteArmResponse;
        "DeleteExperiment" => DeleteExperimentRequest, DeleteExperimentResponse;
    }
}

/// Makes a call with the generated messages. They have no JSON form: prost-reflect writes and reads it.
fn call_as<Q: Message + Default, R: Message + Default>(asked: &Asked) -> Result<Vec<u8>, Error> {
    let mut services = POOL.services();
    let method = services.find_map(|one| one.methods().find(|m| m.name() == asked.text("call")));
    let method = method.expect("a method");
    let service = method.parent_service().full_name();
    let url = format!("{}/{service}/{}", asked.text("address"), method.name());
    let request: Q = asked.request();
    let response: R = if asked.text("protocol") == "connect-json" {
        let sent = json_of(&request, method.input());
        from_json(&post(&url, "application/json", &sent)?, method.output())
    } else {
        let found = post(&url, "application/proto", &request.encode_to_vec())?;
        R::decode(found.as_slice()).expect("a message")
    };
    Ok(response.encode_to_vec())
}

fn json_of<M: Message>(message: &M, kind: MessageDescriptor) -> Vec<u8> {
    let mut dynamic = DynamicMessage::new(kind);
    dynamic.transcode_from(message).expect("a message");
    serde_json::to_vec(&dynamic).expect("JSON")
}

fn from_json<M: Message + Default>(json: &[u8], kind: MessageDescriptor) -> M {
    let mut read = serde_json::Deserializer::from_slice(json);
    let dynamic = DynamicMessage::deserialize(kind, &mut read).expect("a message");
    dynamic.transcode_to().expect("a message")
}

fn post(url: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    let request = ureq::post(url).content_type(content_type);
    let request = request.config().http_status_as_error(false).build();
    let mut answer = request.send(body).expect("an answer");
    let status = answer.status();
    let body = answer
        .body_mut()
        .with_config()
        .limit(u64::MAX)
        .read_to_vec();
    let body = body.expect("a body");
    if status == 200 {
        return Ok(body);
    }
    Err(error_of(&serde_json::from_slice(&body).expect("JSON")))
}

/// Returns the error of an answer, as the client reads it of a call over gRPC.
fn error_of(said: &Value) -> Error {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let name = text(said, "code").to_uppercase();
    let mut codes = (1..=16).map(Code::from);
    let code = codes.find(|code| Error::from(tonic::Status::new(*code, "")).code_name() == name);
    let details = said["details"].as_array().into_iter().flatten();
    let details = details.map(|detail| prost_types::Any {
        type_url: format!("type.googleapis.com/{}", text(detail, "type")),
        value: STANDARD_NO_PAD
            .decode(text(detail, "value"))
            .expect("base64"),
    });
    let status = Details {
        details: details.collect(),
        ..Details::default()
    };
    tonic::Status::with_details(
        code.expect("a code"),
        text(said, "message"),
        status.encode_to_vec().into(),
    )
    .into()
}
