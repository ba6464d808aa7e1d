//! One call: its data, and a mailbox with Python's orders to the task that serves the call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;

use crate::connection::Peer;
use crate::locked;
use crate::server::UNSENT_BYTES;

/// An order of Python to the task of a call.
pub enum Order {
    /// Read the request.
    Read,
    /// Send a message of a stream.
    Write(Bytes),
    /// Send the only response, and end the call.
    Answer(Bytes),
    /// End a stream without an error.
    Finish,
    /// End the call with the fields of an error, and drop the messages that are not sent yet.
    Drop(Box<HeaderMap>),
    /// End the call with the fields of an error, after the messages.
    Fail(Box<HeaderMap>),
}

/// Whether a stream took a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Sent,
    /// The message was not taken: wait until the stream is writable.
    Full,
    Closed,
}

#[derive(Default)]
struct Mailbox {
    orders: VecDeque<Order>,
    waker: Option<Waker>,
    unsent: usize,
    is_awaited: bool,
    state: State,
}

/// The states of a call, in the order in which they follow each other.
#[derive(Default, PartialEq, PartialOrd)]
enum State {
    #[default]
    New,
    /// Python has the call.
    Taken,
    /// Python has ordered the end of the call.
    Ended,
    /// The call has ended.
    Closed,
}

/// The data that Python and the task of a call share.
pub struct CallState {
    /// A number that no other call of this server has.
    pub number: u64,
    pub method: usize,
    pub peer: Arc<Peer>,
    pub headers: HeaderMap,
    mailbox: Mutex<Mailbox>,
}

impl CallState {
    pub fn new(number: u64, method: usize, peer: Arc<Peer>, headers: HeaderMap) -> Self {
        Self { number, method, peer, headers, mailbox: Mutex::default() }
    }

    /// Gives an order. Returns false if the call has ended, or if its end was ordered before.
    pub fn order(&self, order: Order) -> bool {
        let mut mailbox = locked(&self.mailbox);
        if mailbox.state >= State::Ended {
            return false;
        }
        if matches!(order, Order::Drop(_)) {
            mailbox.orders.clear();
        }
        if !matches!(order, Order::Read | Order::Write(_)) {
            mailbox.state = State::Ended;
        }
        mailbox.orders.push_back(order);
        let waker = mailbox.waker.take();
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Orders to send a message of a stream, unless too many bytes wait to be sent.
    pub fn write(&self, message: Bytes) -> Written {
        let size = message.len();
        {
            let mut mailbox = locked(&self.mailbox);
            if mailbox.state >= State::Ended {
                return Written::Closed;
            }
            if mailbox.unsent > 0 && mailbox.unsent + size > UNSENT_BYTES {
                mailbox.is_awaited = true;
                return Written::Full;
            }
            mailbox.unsent += size;
        }
        if self.order(Order::Write(message)) { Written::Sent } else { Written::Closed }
    }

    /// Notes that bytes of a stream were sent. Returns whether Python waits to write, and now may.
    pub fn note_sent(&self, size: usize) -> bool {
        let mut mailbox = locked(&self.mailbox);
        mailbox.unsent = mailbox.unsent.saturating_sub(size);
        mailbox.unsent == 0 && std::mem::take(&mut mailbox.is_awaited)
    }

    /// Notes that Python gets the call. Returns false if the call has ended before.
    pub fn take(&self) -> bool {
        let mut mailbox = locked(&self.mailbox);
        let is_new = mailbox.state == State::New;
        if is_new {
            mailbox.state = State::Taken;
        }
        is_new
    }

    pub fn poll_order(&self, context: &Context<'_>) -> Poll<Order> {
        let mut mailbox = locked(&self.mailbox);
        if let Some(order) = mailbox.orders.pop_front() {
            return Poll::Ready(order);
        }
        mailbox.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Rejects all further orders. Returns whether Python has the call.
    pub fn close(&self) -> bool {
        let mut mailbox = locked(&self.mailbox);
        let was_taken = mailbox.state > State::New;
        mailbox.state = State::Closed;
        mailbox.orders.clear();
        mailbox.waker = None;
        was_taken
    }
}
