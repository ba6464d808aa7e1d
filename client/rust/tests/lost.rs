//! What becomes of calls that no server answers. Each test's peer is a real socket.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use podium::v1::{Event, Skipped, StreamPosition};
use podium::{Client, Code};

/// A peer that does as told with each connection; its address, and how many there were.
fn peer(answer: impl Fn(TcpStream) + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap());
        }
    });
    (address, connections)
}

fn hang_up(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 1024]);
}

/// A read is repeated while nobody answers, as long as there is time, and then says that it was lost.
#[tokio::test]
async fn reads_are_tried_again() {
    let (address, connections) = peer(hang_up);
    let second = Duration::from_secs(1);
    let client = Client::connect(&address)
        .unwrap()
        .with_timeouts(second, second);
    let error = client.arm("e", "a").eval("val").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let text = format!("the connection to {address} was lost during the call (");
    assert!(error.message().starts_with(&text), "{error}");
    assert!(connections.load(Ordering::SeqCst) >= 2);
}

/// A write is sent once, and its error says that the outcome is unknown.
#[tokio::test]
async fn writes_are_sent_once() {
    let (address, connections) = peer(hang_up);
    let client = Client::connect(&address).unwrap();
    let events = [Event::now(Skipped {})];
    let error = client.experiment("e").record(events).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains("safe to send it again"), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// A write with a position is repeated: the server applies it once.
#[tokio::test]
async fn writes_with_a_position_are_tried_again() {
    let (address, connections) = peer(hang_up);
    let second = Duration::from_secs(1);
    let client = Client::connect(&address)
        .unwrap()
        .with_timeouts(second, second);
    let position = StreamPosition {
        writer_id: "w".to_owned(),
        first_sequence: 1,
    };
    let events = [Event::now(Skipped {})];
    let experiment = client.experiment("e");
    let error = experiment.record_at(position, events).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains("safe to send it again"), "{error}");
    assert!(connections.load(Ordering::SeqCst) >= 2);
}

/// A port that nobody listens on is an error of this client, with nothing of the peer in it. What
/// was to be written never left, so its outcome is known.
#[tokio::test]
async fn nobody_listens() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let client = Client::connect(&address).unwrap();
    let call = async move { client.experiment("e").delete(false).await };
    let error = tokio::spawn(call).await.unwrap().unwrap_err(); // a call can move to another task
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(error.reason(), "");
    let hint = format!("no Podium server answers at {address}: start one with `podium serve`");
    assert!(error.message().starts_with(&hint), "{error}");
    assert!(!error.message().contains("unknown"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

/// If no server of a list answers, the error names all, and a write was not sent.
#[tokio::test]
async fn no_server_listens() {
    let list = "127.0.0.1:1,127.0.0.1:2";
    let client = Client::connect(list).unwrap();
    let error = client.experiment("e").delete(false).await.unwrap_err();
    let hint = format!("no Podium server answers at {list}: ");
    assert!(error.message().starts_with(&hint), "{error}");
    assert!(!error.message().contains("unknown"), "{error}");
}

/// A peer that never answers holds nobody up for longer than the deadline.
#[tokio::test]
async fn calls_end_at_their_deadline() {
    let (address, _) = peer(|stream| {
        thread::spawn(move || {
            let _open = stream;
            thread::sleep(Duration::from_secs(20));
        });
    });
    let short = Duration::from_millis(300);
    let client = Client::connect(&address)
        .unwrap()
        .with_timeouts(short, short);
    let start = Instant::now();
    let error = client.arm("e", "a").score("x").await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    let text = format!("{address} did not answer within 0.3 s");
    assert_eq!(error.message(), text);
    let error = client.arm("e", "a").delete(false).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(error.message().contains("unknown"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(9));
}

/// A bad address and a missing runtime are said before anything is sent.
#[test]
fn clients_that_cannot_be() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let within = runtime.enter();
    let error = Client::connect("http://localhost:1").unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("HOST:PORT or unix:PATH"));
    for (list, bad) in [
        ("one:1,", ""),
        ("one:1,two", "two"),
        ("one:1,unix:/x", "unix:/x"),
    ] {
        let error = Client::connect(list).unwrap_err();
        let text = format!("an address is HOST:PORT or unix:PATH, not {bad:?}");
        assert_eq!(error.message(), text);
    }
    drop(within);
    let error = Client::connect("localhost:1").unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
}
