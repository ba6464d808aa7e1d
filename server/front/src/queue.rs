//! The queue of events for Python.
//!
//! One byte in a socket wakes Python's event loop, however many events wait. The number of waiting
//! new calls is limited. A call that Python already has causes few events, which are never dropped.
//!
//! Connections share Python's time. The queue measures the time that the calls of a connection take,
//! and expects as much of its next call. Python takes the call that would end first if all
//! connections were served at the same time (weighted fair queueing). So a call that takes little
//! time waits for few calls that take long, however many calls and connections wait.

use std::collections::{BTreeMap, VecDeque};
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

/// The expected time of a connection's first call, in nanoseconds.
const FIRST_COST: u64 = 500_000;

/// The expected time of the calls that Python takes at once after the first one.
const COST_AT_ONCE: u64 = 1_000_000;

/// The new calls of a connection, and its share of Python's time in nanoseconds.
pub struct Share {
    calls: VecDeque<NewCall>,
    /// The expected time of a call.
    cost: u64,
    /// The moment at which the last call would have ended.
    end: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self { calls: VecDeque::new(), cost: FIRST_COST, end: 0 }
    }
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// The connections with new calls, by the end of their next call and a number.
    turns: BTreeMap<(u64, u64), Arc<Peer>>,
    number: u64,
    /// The end of the call that Python has taken last.
    now: u64,
    /// The connections of the new calls that Python has taken last.
    taken: Vec<Arc<Peer>>,
    new: usize,
    refused: u64,
    is_signalled: bool,
}

impl Waiting {
    fn add_turn(&mut self, peer: &Arc<Peer>, share: &mut Share) {
        share.end = self.now.max(share.end) + share.cost;
        self.number += 1;
        self.turns.insert((share.end, self.number), Arc::clone(peer));
    }

    /// Removes the oldest new call of the connection whose turn it is, if its expected time is at
    /// most `left`. Subtracts this time from `left`.
    fn next_new(&mut self, left: &mut u64) -> Option<NewCall> {
        let first = self.turns.first_entry()?;
        let peer = Arc::clone(first.get());
        let mut share = locked(&peer.share);
        *left = left.checked_sub(share.cost)?;
        self.now = first.remove_entry().0.0;
        let call = share.calls.pop_front()?;
        self.new -= 1;
        if !share.calls.is_empty() {
            self.add_turn(&peer, &mut share);
        }
        Some(call)
    }

    /// Adds the time that Python has needed to what its last calls are expected to take.
    fn note_cost(&mut self, spent: u64) {
        let each = spent / self.taken.len().max(1) as u64;
        for peer in self.taken.drain(..) {
            let mut share = locked(&peer.share);
            share.cost = (3 * share.cost + each) / 4;
        }
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
        let mut share = locked(&call.peer.share);
        let mine = share.calls.len() + 1;
        if mine > self.most_new.saturating_sub(waiting.new) && mine > CALLS_OF_EACH {
            waiting.refused += 1;
            return false;
        }
        if share.calls.is_empty() {
            waiting.add_turn(&call.peer, &mut share);
        }
        share.calls.push_back((Arc::clone(call), message));
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
    ///
    /// `spent` is the time that Python has needed since the last call, in nanoseconds.
    pub fn take(&self, most: usize, spent: u64) -> Vec<Event> {
        let mut waiting = locked(&self.waiting);
        waiting.note_cost(spent);
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
        let mut left = u64::MAX;
        while taken.len() < most
            && let Some(call) = waiting.next_new(&mut left)
        {
            if call.0.take() {
                waiting.taken.push(Arc::clone(&call.0.peer));
                taken.push(Event::New(call));
                left = left.min(COST_AT_ONCE);
            }
        }
        if bytes > 0 {
            // The time will be mostly that of requests, whose connections are not known here.
            waiting.taken.clear();
        }
        if waiting.events.is_empty() && waiting.new == 0 && waiting.is_signalled {
            let _ = (&self.wake).read(&mut [0; 8]);
            waiting.is_signalled = false;
        }
        taken
    }
}
