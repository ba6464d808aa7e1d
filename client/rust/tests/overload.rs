//! What becomes of calls that a server refuses since it has too much to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use podium::{Client, Code};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;
use tonic::codegen::{Bytes, http};
use tonic_types::pb::{ErrorInfo, RetryInfo, Status as Details};

/// A server that refuses its first calls and asks to wait before the next one.
#[derive(Clone)]
struct Refusing {
    code: Code,
    reason: &'static str,
    refusals: usize,
    delay: Duration,
    calls: Arc<AtomicUsize>,
}

impl Refusing {
    fn new(reason: &'static str, refusals: usize, delay: Duration) -> Self {
        let calls = Arc::default();
        Self {
            code: Code::ResourceExhausted,
            reason,
            refusals,
            delay,
            calls,
        }
    }

    /// A client of the server, which now runs.
    async fn client(&self) -> Client {
        Client::connect(&format!("127.0.0.1:{}", self.port().await)).unwrap()
    }

    /// The port of the server, which now runs.
    async fn port(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(socket));
            }
        });
        port
    }

    async fn serve(self, socket: TcpStream) {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let agent = request.headers()["user-agent"].to_str().unwrap();
            assert!(agent.starts_with("podium-rust/0."), "{agent}");
            if self.calls.fetch_add(1, Ordering::SeqCst) < self.refusals {
                let refused = self.refusal().into_http::<()>();
                respond.send_response(refused, true).unwrap();
            } else {
                let mut answer = http::Response::new(());
                let grpc = http::HeaderValue::from_static("application/grpc");
                answer.headers_mut().insert("content-type", grpc);
                let mut stream = respond.send_response(answer, false).unwrap();
                stream
                    .send_data(Bytes::from_static(&[0; 5]), false)
                    .unwrap(); // an empty message
                let mut ended = http::HeaderMap::new();
                ended.insert("grpc-status", http::HeaderValue::from_static("0"));
                stream.send_trailers(ended).unwrap();
            }
        }
    }

    fn refusal(&self) -> Status {
        let info = ErrorInfo {
            reason: self.reason.to_owned(),
            domain: "podium".to_owned(),
            ..Default::default()
        };
        let retry = RetryInfo {
            retry_delay: Some(self.delay.try_into().unwrap()),
        };
        let details = Details {
            details: vec![
                detail("google.rpc.ErrorInfo", &info),
                detail("google.rpc.RetryInfo", &retry),
            ],
            ..Default::default()
        };
        let details = details.encode_to_vec().into();
        Status::with_details(self.code, "too much", details)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn detail(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: message.encode_to_vec(),
    }
}

/// Reads and writes are repeated when the server asks for it, as often as there is time for.
#[tokio::test]
async fn overloaded_servers_are_asked_again() {
    let server = Refusing::new("OVERLOADED", 20, Duration::from_millis(1));
    let client = server.client().await;
    assert_eq!(client.arm("e", "a").score("m").await, Ok(None));
    assert_eq!(server.calls(), 21);
    let server = Refusing::new("OVERLOADED", 20, Duration::from_millis(1));
    let client = server.client().await;
    assert_eq!(client.arm("e", "a").delete(false).await, Ok(0));
    assert_eq!(server.calls(), 21);
}

/// A server that stops refuses a call before it does anything, so that a write is repeated, too.
#[tokio::test]
async fn stopping_servers_are_asked_again() {
    let mut server = Refusing::new("SHUTTING_DOWN", 3, Duration::from_millis(1));
    server.code = Code::Unavailable;
    let client = server.client().await;
    assert_eq!(client.arm("e", "a").delete(false).await, Ok(0));
    assert_eq!(server.calls(), 4);
}

/// A call that a stopping server rejects is sent to the next server at once.
#[tokio::test]
async fn the_next_server_is_asked_at_once() {
    let mut server = Refusing::new("SHUTTING_DOWN", 1, Duration::from_secs(3600));
    server.code = Code::Unavailable;
    let port = server.port().await;
    let client = Client::connect(&format!("127.0.0.1:{port},localhost:{port}")).unwrap();
    assert_eq!(client.arm("e", "a").delete(false).await, Ok(0));
    assert_eq!(server.calls(), 2);
}

/// Each server gets calls, and one that is absent gets none.
#[tokio::test]
async fn servers_get_calls_in_turns() {
    let [one, other] = [(); 2].map(|()| Refusing::new("", 0, Duration::ZERO));
    let ports = [one.port().await, other.port().await];
    let list = format!("127.0.0.1:1, 127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
    let client = Client::connect(&list).unwrap();
    for _ in 0..6 {
        assert_eq!(client.arm("e", "a").delete(false).await, Ok(0));
    }
    assert!(one.calls() > 0 && other.calls() > 0);
    assert_eq!(one.calls() + other.calls(), 6);
}

/// A call is not repeated where the pause would end after its time: it fails at once, as the server
/// said.
#[tokio::test]
async fn nothing_is_repeated_after_the_deadline() {
    let server = Refusing::new("OVERLOADED", 9, Duration::from_secs(3600));
    let client = server.client().await;
    let error = client.arm("e", "a").score("m").await.unwrap_err();
    assert_eq!(
        (error.reason(), error.message()),
        ("OVERLOADED", "too much")
    );
    let error = client.arm("e", "a").delete(false).await.unwrap_err();
    assert_eq!(error.reason(), "OVERLOADED");
    assert_eq!(server.calls(), 2);
}

/// What stays as it is, such as a full disk, is no reason to repeat a call.
#[tokio::test]
async fn other_refusals_are_final() {
    let server = Refusing::new("STORAGE_FULL", 9, Duration::from_millis(1));
    let client = server.client().await;
    let error = client.arm("e", "a").score("m").await.unwrap_err();
    assert_eq!(error.reason(), "STORAGE_FULL");
    assert_eq!(server.calls(), 1);
}
