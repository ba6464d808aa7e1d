//! The queue of events towards Python.
//!
//! One byte in a socket wakes Python's event loop, however many events wait. New calls are bounded;
//! events of calls that Python already has are few for each, and never dropped.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::call::CallState;
use crate::locked;

/// The calls of each connection that may wait even if the queue is full.
const CALLS_OF_EACH: usize = 8;

/// Something that Python has to know.
pub enum Event {
    /// A call has arrived, with its request if that is small and complete.
    New(Arc<CallState>, Option<Bytes>),
    /// The request that a call waits for; None if it was cut off.
    Message(u64, Option<Bytes>),
    /// A stream that was full takes messages again.
    Writable(u64),
    /// A call has ended; the flag tells whether its response was sent in full.
    Done(u64, bool),
    /// A connection waits for its TLS handshake.
    Handshake(oneshot::Sender<()>),
}

struct Waiting {
    events: VecDeque<Event>,
    new: usize,
    is_signalled: bool,
}

/// The events that wait for Python.
pub struct Queue {
    waiting: Mutex<Waiting>,
    most_new: usize,
    signal: UnixStream,
    wake: UnixStream,
}

impl Queue {
    /// Makes an empty queue for at most so many new calls.
    pub fn new(most_new: usize) -> io::Result<Self> {
        let (signal, wake) = UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let waiting = Waiting { events: VecDeque::new(), new: 0, is_signalled: false };
        Ok(Self { waiting: Mutex::new(waiting), most_new, signal, wake })
    }

    /// The file descriptor that is readable while events wait.
    pub fn descriptor(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// Adds a new call; returns whether there was room for it. Each connection has room for some.
    pub fn push_new(&self, call: &Arc<CallState>, message: Option<Bytes>) -> bool {
        let mut waiting = locked(&self.waiting);
        let of_peer = call.peer.waiting_calls.fetch_add(1, Relaxed);
        if waiting.new >= self.most_new && of_peer >= CALLS_OF_EACH {
            call.peer.waiting_calls.fetch_sub(1, Relaxed);
            return false;
        }
        waiting.new += 1;
        self.add(&mut waiting, Event::New(Arc::clone(call), message));
        true
    }

    /// Adds any other event.
    pub fn push(&self, event: Event) {
        self.add(&mut locked(&self.waiting), event);
    }

    fn add(&self, waiting: &mut Waiting, event: Event) {
        waiting.events.push_back(event);
        if !waiting.is_signalled {
            // A full socket wakes Python as well.
            let _ = (&self.signal).write(&[0]);
            waiting.is_signalled = true;
        }
    }

    /// Removes the oldest events, at most so many.
    pub fn take(&self, most: usize) -> Vec<Event> {
        let mut waiting = locked(&self.waiting);
        let count = most.min(waiting.events.len());
        let taken: Vec<Event> = waiting.events.drain(..count).collect();
        for event in &taken {
            if let Event::New(call, _) = event {
                call.peer.waiting_calls.fetch_sub(1, Relaxed);
                waiting.new -= 1;
            }
        }
        if waiting.events.is_empty() && waiting.is_signalled {
            let _ = (&self.wake).read(&mut [0; 8]);
            waiting.is_signalled = false;
        }
        taken
    }
}
