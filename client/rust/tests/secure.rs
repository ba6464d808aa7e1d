//! TLS and tokens, with the server that `PODIUM_SECURE_ADDRESS` names.

use std::path::PathBuf;
use std::{env, fs};

use podium::v1::ExperimentDeclared;
use podium::{Builder, Client, Code, MetadataMap, Tls};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

const HINT: &str = "the project's conformance tests start such a server";

fn address() -> String {
    env::var("PODIUM_SECURE_ADDRESS").expect(HINT)
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env::var("PODIUM_SECURE_FILES").expect(HINT)).join(name)
}

fn tls() -> Tls {
    Tls {
        ca: Some(file("ca.pem")),
        identity: Some((file("client.pem"), file("client.key"))),
    }
}

fn builder() -> Builder {
    Client::builder(&address()).tls(tls())
}

fn token() -> String {
    let text = fs::read_to_string(file("token")).unwrap();
    text.trim().to_owned()
}

/// A client with the files and a token, given as text or as a file, reads and writes.
#[tokio::test]
async fn tls_and_tokens() {
    for builder in [
        builder().token(token()),
        builder().token_file(file("token")),
    ] {
        let client = builder.connect().unwrap();
        assert_eq!(client.whoami().await.unwrap().unwrap().name, "tests");
        let experiment = client.experiment("secure");
        experiment
            .declare(ExperimentDeclared::default())
            .await
            .unwrap();
        assert_eq!(experiment.get().await.unwrap().name, "secure");
    }
}

/// Without a token, the server refuses the call.
#[tokio::test]
async fn a_token_is_needed() {
    let client = builder().connect().unwrap();
    let error = client.experiment("secure").get().await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated, "{error}");
    let missing = builder().token_file(file("missing")).connect().unwrap();
    let error = missing.experiment("secure").get().await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated, "{error}");
    assert!(
        error.message().contains("missing cannot be read"),
        "{error}"
    );
}

/// A server whose certificate another authority issued gets nothing, and the error says why.
#[tokio::test]
async fn other_authorities_are_refused() {
    let other = Tls {
        ca: Some(file("other.pem")),
        ..tls()
    };
    let soon = std::time::Duration::from_secs(5);
    let client = builder().tls(other).connect().unwrap();
    let client = client.with_timeouts(soon, soon);
    let error = client.experiment("secure").get().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains("certificate"), "{error}");
}

/// Files that are no certificates, and TLS for a socket, are errors of the client.
#[tokio::test]
async fn files_that_cannot_be_used() {
    let garbage = Tls {
        identity: Some((file("token"), file("token"))),
        ..tls()
    };
    for builder in [
        builder().tls(garbage),
        builder().tls(Tls {
            ca: Some(file("missing")),
            ..tls()
        }),
        Client::builder("unix:/tmp/podium").tls(tls()),
    ] {
        let error = builder.connect().unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
}

/// A token is not sent without encryption, unless to this machine; nor is one in the metadata.
#[tokio::test]
async fn tokens_are_kept_from_the_network() {
    let plain = Client::builder("192.0.2.1:1").tls(None);
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", "Bearer pdm_x".parse().unwrap());
    for client in [
        plain.clone().token("pdm_x").connect().unwrap(),
        plain.connect().unwrap().with_metadata(metadata),
    ] {
        let error = client.experiment("secure").get().await.unwrap_err();
        assert_eq!(error.code(), Code::Unauthenticated, "{error}");
        let text = "the token is not sent to 192.0.2.1:1 without encryption";
        assert!(error.message().starts_with(text), "{error}");
    }
}

/// A channel of one's own, here with an interceptor, makes the calls.
#[tokio::test]
async fn channels_of_any_type() {
    let pem = |name| fs::read(file(name)).unwrap();
    let config = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(pem("ca.pem")))
        .identity(Identity::from_pem(pem("client.pem"), pem("client.key")));
    let endpoint = Endpoint::from_shared(format!("https://{}", address())).unwrap();
    let channel = endpoint.tls_config(config).unwrap().connect_lazy();
    let header = format!("Bearer {}", token());
    let adds_token = move |mut request: Request<()>| -> Result<Request<()>, Status> {
        let header = header.parse().unwrap();
        request.metadata_mut().insert("authorization", header);
        Ok(request)
    };
    let client = Client::from_service(InterceptedService::new(channel, adds_token), "ours");
    client.server().await.unwrap();
}
