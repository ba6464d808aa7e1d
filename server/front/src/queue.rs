//! The queue of events for Python.
//!
//! One byte in a socket wakes Python's event loop, however many events wait. The number of waiting
//! new calls is limited, and Python takes them from each connection in turn. So a connection with
//! thousands of calls delays no other connection. A call that Python already has causes few events,
//! which are never dropped.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::call::CallState;
use crate::connection::Peer;
use crate::locked;

/// The new calls of each connection that may wait even if the queue is full.
const CALLS_OF_EACH: usize = 8;

/// The most events of running calls that Python takes at once. Each takes some microseconds.
const EVENTS_AT_ONCE: usize = 128;

/// The bytes of requests that Python takes at once. Python takes long to check large requests.
const BYTES_AT_ONCE: usize = 256 * 1024;

/// A call that Python does not know yet, with its request if that is small and complete.
pub type NewCall = (Arc<CallState>, Option<Bytes>);

/// An event that Python has to handle.
pub enum Event {
    New(NewCall),
    /// The request that a call waits for; None if it was cut off.
    Message(u64, Option<Bytes>),
    /// A stream that was full takes messages again.
    Writable(u64),
    /// A call has ended. The flag is true if its response was sent in full.
    Done(u64, bool),
    /// A connection waits for its TLS handshake.
    Handshake(oneshot::Sender<()>),
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// The connections with new calls, of which Python has not taken any yet.
    fresh: VecDeque<Arc<Peer>>,
    /// The connections with new calls, of which Python has already taken some.
    turns: VecDeque<Arc<Peer>>,
    is_fresh_next: bool,
    new: usize,
    refused: u64,
    is_signalled: bool,
}

impl Waiting {
    /// Removes the oldest new call of the connection whose turn it is.
    ///
    /// Every second turn belongs to the connections in `fresh`.
    fn next_new(&mut self) -> Option<NewCall> {
        self.is_fresh_next = !self.is_fresh_next;
        let (first, second) = if self.is_fresh_next {
            (&mut self.fresh, &mut self.turns)
        } else {
            (&mut self.turns, &mut self.fresh)
        };
        let peer = first.pop_front().or_else(|| second.pop_front())?;
        let mut calls = locked(&peer.new_calls);
        let call = calls.pop_front()?;
        self.new -= 1;
        if !calls.is_empty() {
            drop(calls);
            self.turns.push_back(peer);
        }
        Some(call)
    }
}

pub struct Queue {
    waiting: Mutex<Waiting>,
    most_new: usize,
    signal: UnixStream,
    wake: UnixStream,
}

impl Queue {
    pub fn new(most_new: usize) -> io::Result<Self> {
        let (signal, wake) = UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        Ok(Self { waiting: Mutex::default(), most_new, signal, wake })
    }

    pub fn descriptor(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    pub fn waiting(&self) -> usize {
        locked(&self.waiting).new
    }

    pub fn refused(&self) -> u64 {
        locked(&self.waiting).refused
    }

    /// Adds a new call. Returns whether there was room for it.
    ///
    /// A connection may use at most half of what the others leave free, but always
    /// `CALLS_OF_EACH`.
    pub fn push_new(&self, call: &Arc<CallState>, message: Option<Bytes>) -> bool {
        let mut waiting = locked(&self.waiting);
        let mut calls = locked(&call.peer.new_calls);
        let mine = calls.len() + 1;
        if mine > self.most_new.saturating_sub(waiting.new) && mine > CALLS_OF_EACH {
            waiting.refused += 1;
            return false;
        }
        if calls.is_empty() {
            waiting.fresh.push_back(Arc::clone(&call.peer));
        }
        calls.push_back((Arc::clone(call), message));
        waiting.new += 1;
        self.wake(&mut waiting);
        true
    }

    pub fn push(&self, event: Event) {
        let mut waiting = locked(&self.waiting);
        waiting.events.push_back(event);
        self.wake(&mut waiting);
    }

    fn wake(&self, waiting: &mut Waiting) {
        if !waiting.is_signalled {
            // A full socket wakes Python as well.
            let _ = (&self.signal).write(&[0]);
            waiting.is_signalled = true;
        }
    }

    /// Removes and returns events of calls that Python has, and at most `most` new calls.
    pub fn take(&self, most: usize) -> Vec<Event> {
        let mut waiting = locked(&self.waiting);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < EVENTS_AT_ONCE
            && bytes < BYTES_AT_ONCE
            && let Some(event) = waiting.events.pop_front()
        {
            if let Event::Message(_, Some(message)) = &event {
                bytes += message.len();
            }
            taken.push(event);
        }
        let most = taken.len() + most;
        while taken.len() < most
            && let Some(call) = waiting.next_new()
        {
            if call.0.take() {
                taken.push(Event::New(call));
            }
        }
        if waiting.events.is_empty() && waiting.new == 0 && waiting.is_signalled {
            let _ = (&self.wake).read(&mut [0; 8]);
            waiting.is_signalled = false;
        }
        taken
    }
}
