//! The server: its limits, its listeners and its end.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::connection::{Counted, Peer, in_time, serve};
use crate::locked;
use crate::queue::{Event, Queue};
use crate::tls;

const BACKLOG: u32 = 1_024;
const PAUSE: Duration = Duration::from_millis(50);

/// The limits of a server.
pub struct Limits {
    /// Bytes of a message, compressed or not.
    pub message_bytes: usize,
    /// Bytes of the metadata of a call.
    pub metadata_bytes: u32,
    /// Bytes that a client may send of a request before it is read.
    pub window_bytes: u32,
    /// Connections to each address.
    pub connections: usize,
    /// Streams of a connection.
    pub streams: u32,
    /// Streams of all connections.
    pub streams_in_all: usize,
    /// Streams that each connection may have in any case.
    pub streams_of_each: usize,
    /// Bytes of a stream that are written and not sent.
    pub unsent_bytes: usize,
    /// The time for TLS and for the settings of HTTP/2.
    pub handshake: Duration,
    /// The time without a call after which a connection is closed.
    pub idle: Duration,
    /// The time after which a connection is closed.
    pub age: Duration,
    /// The time that the calls of a closing connection get.
    pub grace: Duration,
    /// The time without a byte after which a client is pinged.
    pub ping: Duration,
    /// The time in which it has to answer.
    pub ping_timeout: Duration,
}

/// What all tasks of a server share.
pub struct Shared {
    /// The limits.
    pub limits: Limits,
    /// The events for Python.
    pub queue: Queue,
    /// The index of each method by its path.
    pub paths: HashMap<String, usize>,
    /// The error of a call for which the queue has no room.
    pub overloaded: Box<HeaderMap>,
    /// The number of the next call.
    pub numbers: AtomicU64,
    /// The number of streams.
    pub streams: Arc<AtomicUsize>,
    /// What encrypts the next connections.
    pub tls: Mutex<Option<Arc<ServerConfig>>>,
    /// Changes when the server stops.
    pub stopping: watch::Sender<bool>,
}

/// What accepts connections.
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Waits for a connection; returns it with its address in gRPC's form.
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

/// Binds an address of TCP.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections.
pub async fn accept(listener: Listener, server: Arc<Shared>) {
    let count = Arc::new(AtomicUsize::new(0));
    let mut stopping = server.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        match accepted {
            Ok((socket, text)) => {
                let Some(counted) = Counted::new(&count, server.limits.connections) else {
                    continue;
                };
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    let _counted = counted;
                    open(socket, text, server).await;
                });
            }
            // Out of file descriptors.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn open(socket: Socket, text: String, server: Arc<Shared>) {
    let socket = match socket {
        Socket::Tcp(socket) => socket,
        // Only this machine can reach it, so it has no TLS.
        Socket::Unix(socket) => return serve(socket, Peer::new(text, Vec::new()), server).await,
    };
    if locked(&server.tls).is_none() {
        return serve(socket, Peer::new(text, Vec::new()), server).await;
    }
    let (proceed, may_proceed) = oneshot::channel();
    server.queue.push(Event::Handshake(proceed));
    let limits = &server.limits;
    let shaken = in_time(limits, async {
        may_proceed.await.map_err(io::Error::other)?;
        let config = locked(&server.tls).clone().ok_or_else(|| io::Error::other("no TLS"))?;
        TlsAcceptor::from(config).accept(socket).await
    });
    if let Ok(stream) = shaken.await {
        let names = tls::names(stream.get_ref().1);
        serve(stream, Peer::new(text, names), server).await;
    }
}
