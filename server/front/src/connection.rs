//! One connection: its handshake, its limits, and when it is closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, interval, timeout};

use crate::locked;
use crate::meter::Meter;
use crate::queue::Share;
use crate::server::{Limits, METADATA_BYTES, Shared};
use crate::stream;

const TICK: Duration = Duration::from_secs(1);
const UNWRITTEN_BYTES: usize = 64 * 1024;
const STREAMS: u32 = 1_000;
/// The bytes of a request that a client may send before Python reads the request.
const WINDOW_BYTES: u32 = 16 * 1024;

/// The client at the other end of a connection.
#[derive(Default)]
pub struct Peer {
    /// The client's address, as gRPC writes it.
    pub text: String,
    /// The URIs in the client's verified certificate.
    pub names: Vec<String>,
    /// The calls of the connection that wait for Python, and its share of Python's time.
    pub share: Mutex<Share>,
    has_settings: AtomicBool,
    has_read: AtomicBool,
    unwritten: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl Peer {
    pub fn new(text: String, names: Vec<String>) -> Self {
        Self { text, names, ..Self::default() }
    }

    pub fn note_read(&self) {
        self.has_read.store(true, Relaxed);
    }

    pub fn note_settings(&self) {
        self.has_settings.store(true, Relaxed);
    }

    /// Notes that bytes of messages were passed to the HTTP/2 library, which has to write them.
    pub fn note_given(&self, size: usize) {
        self.unwritten.fetch_add(size, Relaxed);
    }

    /// Notes that bytes were written to the client, or dropped.
    ///
    /// The written bytes of headers and frames count too. So `unwritten` can be less than the
    /// number of bytes that are really unwritten, but never greater.
    pub fn note_written(&self, size: usize) {
        let left = |unwritten: usize| Some(unwritten.saturating_sub(size));
        let before = self.unwritten.fetch_update(Relaxed, Relaxed, left).unwrap_or(0);
        if before.saturating_sub(size) < UNWRITTEN_BYTES {
            let waiting = std::mem::take(&mut *locked(&self.waiting));
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Waits until only few bytes of messages are unwritten.
    pub fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if self.unwritten.load(Relaxed) < UNWRITTEN_BYTES {
            return Poll::Ready(());
        }
        let mut waiting = locked(&self.waiting);
        // Another task may have written bytes meanwhile.
        if self.unwritten.load(Relaxed) < UNWRITTEN_BYTES {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

pub async fn serve<T>(inner: T, peer: Peer, server: Arc<Shared>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let limits = &server.limits;
    let meter = Meter::new(inner, Arc::clone(&peer));
    let handshake = builder().handshake::<_, Bytes>(meter);
    if let Ok(Ok(connection)) = timeout(limits.handshake, handshake).await {
        Life::new(limits, peer).run(connection, &server).await;
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(WINDOW_BYTES)
        // The windows of streams limit the unread bytes. The window of the connection is so large
        // that no stream waits until another stream is read.
        .initial_connection_window_size((STREAMS + 64) * WINDOW_BYTES)
        .max_header_list_size(4 * METADATA_BYTES)
        .max_send_buffer_size(UNWRITTEN_BYTES)
        // Clients may cancel all their calls at once. The meter limits how often.
        .max_pending_accept_reset_streams(2 * STREAMS as usize)
        .max_concurrent_reset_streams(64)
        .max_local_error_reset_streams(Some(2 * STREAMS as usize));
    builder
}

/// The state of a connection, with the times that decide when it is closed.
struct Life<'a> {
    limits: &'a Limits,
    peer: Arc<Peer>,
    begin: Instant,
    used: Instant,
    read: Instant,
    pinged: Option<Instant>,
    is_closing: Option<Instant>,
    is_stopping: bool,
}

impl<'a> Life<'a> {
    fn new(limits: &'a Limits, peer: Arc<Peer>) -> Self {
        let now = Instant::now();
        Self {
            limits,
            peer,
            begin: now,
            used: now,
            read: now,
            pinged: None,
            is_closing: None,
            is_stopping: false,
        }
    }

    async fn run<T>(mut self, mut connection: Connection<T, Bytes>, server: &Arc<Shared>)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut ping = connection.ping_pong();
        let mut ticks = interval(TICK);
        let mut stopping = server.stopping.subscribe();
        let calls = Arc::new(());
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, respond))) => {
                        self.used = Instant::now();
                        stream::start(request, respond, &self.peer, server, &calls);
                    }
                    _ => return,
                },
                _ = ticks.tick() => {
                    if !self.may_go_on(Arc::strong_count(&calls) - 1, ping.as_mut()) {
                        return;
                    }
                    if self.is_closing.is_some() {
                        connection.graceful_shutdown();
                    }
                }
                _ = stopping.changed(), if !self.is_stopping => {
                    self.is_stopping = true;
                    connection.graceful_shutdown();
                }
            }
        }
    }

    /// Returns whether the connection may stay open. Begins to close it if it is old or idle.
    fn may_go_on(&mut self, calls: usize, ping: Option<&mut PingPong>) -> bool {
        let now = Instant::now();
        if calls > 0 {
            self.used = now;
        }
        if self.peer.has_read.swap(false, Relaxed) {
            self.read = now;
            self.pinged = None;
        }
        if !self.peer.has_settings.load(Relaxed) && now - self.begin > self.limits.handshake {
            return false;
        }
        if now - self.used > self.limits.idle || now - self.begin > self.limits.age {
            self.is_closing.get_or_insert(now);
        }
        if self.is_closing.is_some_and(|since| now - since > self.limits.grace) {
            return false;
        }
        self.is_alive(now, ping)
    }

    /// Returns whether the client answers pings. Pings a client that has sent nothing for long.
    fn is_alive(&mut self, now: Instant, ping: Option<&mut PingPong>) -> bool {
        if let Some(since) = self.pinged {
            return now - since <= self.limits.ping_timeout;
        }
        if now - self.read > self.limits.ping
            && let Some(ping) = ping
            && ping.send_ping(Ping::opaque()).is_ok()
        {
            self.pinged = Some(now);
        }
        true
    }
}
