//! The server: its limits, and how it accepts connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use pyo3::prelude::*;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::connection::{Peer, serve};
use crate::locked;
use crate::queue::{Event, Queue};
use crate::tls;

const BACKLOG: u32 = 1_024;
const PAUSE: Duration = Duration::from_millis(50);

/// The most bytes of a call's metadata.
pub const METADATA_BYTES: u32 = 16 * 1024;
/// The most bytes of a stream that Python has written and that are not sent yet.
pub const UNSENT_BYTES: usize = 64 * 1024;
/// The most streams of all connections together. Each connection may have a few more.
pub const STREAMS_IN_ALL: usize = 8_000;

/// The limits that Python sets. Python passes times in seconds.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Limits {
    /// The most bytes of a message, before and after it is unpacked.
    pub message_bytes: usize,
    /// The most connections to each address.
    pub connections: usize,
    pub threads: usize,
    /// The most new calls that wait for Python.
    #[pyo3(default = 4_096)]
    pub waiting: usize,
    /// The time in which a client must complete the handshake of TLS, and then that of HTTP/2.
    #[pyo3(from_py_with = seconds, default = Duration::from_secs(5))]
    pub handshake: Duration,
    /// The time without a call after which a connection is closed.
    #[pyo3(from_py_with = seconds, default = Duration::from_secs(300))]
    pub idle: Duration,
    /// The time after which a connection is closed.
    #[pyo3(from_py_with = seconds, default = Duration::from_secs(600))]
    pub age: Duration,
    /// The time that running calls get to end when their connection is closed.
    #[pyo3(from_py_with = seconds, default = Duration::from_secs(30))]
    pub grace: Duration,
    /// The time without a received byte after which the server pings the client.
    #[pyo3(from_py_with = seconds, default = Duration::from_secs(30))]
    pub ping: Duration,
    /// The time in which the client must answer the ping.
    #[pyo3(from_py_with = seconds, default = Duration::from_secs(10))]
    pub ping_timeout: Duration,
}

fn seconds(value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    value.extract().map(Duration::from_secs_f64)
}

/// The data that all tasks of a server share.
pub struct Shared {
    pub limits: Limits,
    pub queue: Queue,
    /// The index of each method by its path.
    pub paths: HashMap<String, usize>,
    /// The error of a call for which the queue has no room.
    pub overloaded: Box<HeaderMap>,
    /// The number of the next call.
    pub numbers: AtomicU64,
    /// A permit for each stream that may still be opened.
    pub streams: Arc<Semaphore>,
    /// The configuration that encrypts new connections. None without TLS.
    pub tls: Mutex<Option<Arc<ServerConfig>>>,
    /// Changes when the server stops.
    pub stopping: watch::Sender<bool>,
}

pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Waits for a connection. Returns it with the client's address as gRPC writes it.
    async fn accept(&self) -> io::Result<(Socket, String)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                let _ = socket.set_nodelay(true);
                let kind = if address.is_ipv4() { "ipv4" } else { "ipv6" };
                Ok((Socket::Tcp(socket), format!("{kind}:{address}")))
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                Ok((Socket::Unix(socket), "unix:".to_owned()))
            }
        }
    }
}

pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

pub async fn accept(listener: Listener, server: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(server.limits.connections));
    let mut stopping = server.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        match accepted {
            Ok((socket, text)) => {
                let Ok(counted) = Arc::clone(&room).try_acquire_owned() else { continue };
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    let _counted = counted;
                    open(socket, text, server).await;
                });
                // Open connections have their turn between two new ones.
                yield_now().await;
            }
            // For example, the process has no more file descriptors.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn open(socket: Socket, text: String, server: Arc<Shared>) {
    let socket = match socket {
        Socket::Tcp(socket) => socket,
        // Only this machine can reach a Unix socket, so it has no TLS.
        Socket::Unix(socket) => return serve(socket, Peer::new(text, Vec::new()), server).await,
    };
    if locked(&server.tls).is_none() {
        return serve(socket, Peer::new(text, Vec::new()), server).await;
    }
    let (proceed, may_proceed) = oneshot::channel();
    server.queue.push(Event::Handshake(proceed));
    let shaken = timeout(server.limits.handshake, async {
        may_proceed.await.map_err(io::Error::other)?;
        let config = locked(&server.tls).clone().ok_or_else(|| io::Error::other("no TLS"))?;
        TlsAcceptor::from(config).accept(socket).await
    });
    if let Ok(Ok(stream)) = shaken.await {
        let names = tls::names(stream.get_ref().1);
        serve(stream, Peer::new(text, names), server).await;
    }
}
