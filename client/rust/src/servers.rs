//! Several servers with the same results.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::{Channel, Error};
use tower::ServiceExt;

/// The time for which a server that has failed gets no calls while there are others.
const LEFT_OUT: Duration = Duration::from_secs(1);

/// Gives calls to several servers in turns.
#[derive(Clone)]
pub(crate) struct Servers {
    servers: Arc<[Server]>,
    turns: Arc<AtomicUsize>,
}

struct Server {
    channel: Channel,
    left_out_until: Mutex<Option<Instant>>,
}

impl Servers {
    pub(crate) fn new(channels: impl IntoIterator<Item = Channel>) -> Self {
        let server = |channel| Server {
            channel,
            left_out_until: Mutex::default(),
        };
        Self {
            servers: channels.into_iter().map(server).collect(),
            turns: Arc::default(),
        }
    }

    /// Returns the place of the server whose turn it is. Those that have failed lately are left out.
    fn next(&self) -> usize {
        let count = self.servers.len();
        let first = self.turns.fetch_add(1, Ordering::Relaxed) % count;
        let mut places = (first..count).chain(0..first);
        places.find(|&at| self.servers[at].is_up()).unwrap_or(first)
    }
}

impl Server {
    fn is_up(&self) -> bool {
        let until = self.left_out_until.lock();
        let until = until.unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|end| end <= Instant::now())
    }

    fn leave_out(&self) {
        let until = self.left_out_until.lock();
        *until.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + LEFT_OUT);
    }
}

impl Service<http::Request<Body>> for Servers {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (at, servers) = (self.next(), Arc::clone(&self.servers));
        Box::pin(async move {
            let answer = servers[at].channel.clone().oneshot(request).await;
            if answer.is_err() {
                servers[at].leave_out();
            }
            answer
        })
    }
}
