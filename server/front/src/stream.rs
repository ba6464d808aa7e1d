//! One call: reads its request when Python asks for it, and sends Python's responses.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use crate::call::{CallState, Order};
use crate::connection::Peer;
use crate::queue::Event;
use crate::request::{Body, Refused};
use crate::server::{METADATA_BYTES, Shared, UNSENT_BYTES};
use crate::status::{DEADLINE_EXCEEDED, INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, fields};

const CONTENT_TYPE: &str = "application/grpc";
const FIELD_BYTES: usize = 32;
/// The time in which a client must read the messages that come before an error.
const UNREAD: Duration = Duration::from_secs(10);
const LATE: &str = "Deadline Exceeded";
const MOST_DIGITS: usize = 8;
/// The streams that each connection may have, even if the server has too many.
const STREAMS_OF_EACH: usize = 8;

/// Serves a call in a task of its own. Resets it if there are too many streams.
pub fn start(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: &Arc<Peer>,
    server: &Arc<Shared>,
    of_connection: &Arc<()>,
) {
    let mine = Arc::clone(of_connection);
    let room = Arc::clone(&server.streams).try_acquire_owned().ok();
    if room.is_none() && Arc::strong_count(&mine) - 1 > STREAMS_OF_EACH {
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    let (peer, server) = (Arc::clone(peer), Arc::clone(server));
    tokio::spawn(async move {
        let _counted = (mine, room);
        serve(request, respond, peer, server).await;
    });
}

async fn serve(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: Arc<Peer>,
    server: Arc<Shared>,
) {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return;
    }
    let (method, body, left) = match opened(head.uri.path(), &head.headers, body, &server) {
        Ok(opened) => opened,
        Err(refused) => {
            send_error(&mut respond, *refused);
            return;
        }
    };
    let number = server.numbers.fetch_add(1, Relaxed);
    let mut exchange = Exchange {
        call: Arc::new(CallState::new(number, method, peer, head.headers)),
        respond,
        response: None,
        body,
        deadline: left.map(|left| Box::pin(sleep(left))),
        is_reading: false,
        unsent: VecDeque::new(),
        given: 0,
        end: None,
        has_failed: false,
    };
    let first = exchange.first_message().await;
    if poll_fn(|context| Poll::Ready(exchange.poll_reset(context))).await {
        return; // The client has cancelled the call before Python knows it.
    }
    match first {
        Ok(message) => {
            if !server.queue.push_new(&exchange.call, message) {
                exchange.end = Some(server.overloaded.clone());
            }
        }
        Err(refused) => exchange.end = Some(refused),
    }
    let is_sent = poll_fn(|context| exchange.poll(context, &server)).await;
    if exchange.call.close() {
        drop(exchange);
        // The connection sends the response first: the client waits for it, and Python does not.
        yield_now().await;
        server.queue.push(Event::Done(number, is_sent));
    }
}

/// Returns the method, the body and the remaining time of a call, or the call's error.
fn opened(
    path: &str,
    headers: &HeaderMap,
    body: RecvStream,
    server: &Shared,
) -> Result<(usize, Body, Option<Duration>), Refused> {
    let size: usize =
        headers.iter().map(|(key, value)| key.as_str().len() + value.len() + FIELD_BYTES).sum();
    let most = METADATA_BYTES as usize;
    if size > most {
        let text = format!("received metadata size exceeds hard limit ({size} vs. {most})");
        return Err(fields(RESOURCE_EXHAUSTED, &text));
    }
    let Some(method) = server.paths.get(path) else {
        return Err(fields(UNIMPLEMENTED, "Method not found!"));
    };
    let left = headers.get("grpc-timeout").map(timeout_of).transpose()?.flatten();
    if left.is_some_and(|left| left.is_zero()) {
        return Err(fields(DEADLINE_EXCEEDED, LATE));
    }
    let body = Body::new(body, headers.get("grpc-encoding"), server.limits.message_bytes)?;
    Ok((*method, body, left))
}

/// Returns the time in a `grpc-timeout`; None if it is far longer than any call.
fn timeout_of(value: &HeaderValue) -> Result<Option<Duration>, Refused> {
    let malformed = || fields(INTERNAL, "Error parsing 'grpc-timeout' metadata");
    let text = value.to_str().map_err(|_| malformed())?;
    let (digits, unit) =
        text.len().checked_sub(1).and_then(|at| text.split_at_checked(at)).ok_or_else(malformed)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let one = match unit {
        "H" => Duration::from_secs(3_600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return Err(malformed()),
    };
    let number = digits.parse().ok().filter(|_| digits.len() <= MOST_DIGITS);
    Ok(number.map(|number: u32| one * number))
}

struct Exchange {
    call: Arc<CallState>,
    respond: SendResponse<Bytes>,
    response: Option<SendStream<Bytes>>,
    body: Body,
    deadline: Option<Pin<Box<Sleep>>>,
    is_reading: bool,
    unsent: VecDeque<Bytes>,
    given: usize,
    end: Option<Refused>,
    has_failed: bool,
}

impl Exchange {
    /// Returns the request if all of it has arrived together with its headers, otherwise None.
    async fn first_message(&mut self) -> Result<Option<Bytes>, Refused> {
        for attempt in 0..2 {
            let body = &mut self.body;
            let found = poll_fn(|context| Poll::Ready(body.poll_message(context, false))).await;
            if let Poll::Ready(found) = found {
                return found;
            }
            if attempt == 0 {
                yield_now().await;
            }
        }
        Ok(None)
    }

    /// Carries out Python's orders. Ready when the call has ended, with true if its response was
    /// sent in full.
    fn poll(&mut self, context: &mut Context<'_>, server: &Shared) -> Poll<bool> {
        while let Poll::Ready(order) = self.call.poll_order(context) {
            self.carry_out(order);
        }
        if self.poll_reset(context) {
            // The HTTP/2 library drops the unwritten bytes of a stream that was reset.
            self.call.peer.note_written(self.given.min(UNSENT_BYTES));
            return Poll::Ready(false);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            self.deadline = None;
            self.unsent.clear();
            if !self.has_failed {
                self.end = Some(fields(DEADLINE_EXCEEDED, LATE));
            }
            return self.poll_sending(context, server).map(|_| false);
        }
        if self.is_reading
            && let Poll::Ready(message) = self.body.poll_message(context, true)
        {
            self.is_reading = false;
            match message {
                Ok(message) => server.queue.push(Event::Message(self.call.number, message)),
                Err(refused) => {
                    self.end = Some(refused);
                    return self.poll_sending(context, server).map(|_| false);
                }
            }
        }
        self.poll_sending(context, server)
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Read => self.is_reading = true,
            Order::Write(message) => self.unsent.push_back(message),
            Order::Answer(message) => {
                self.unsent.push_back(message);
                self.end = Some(fields(0, ""));
            }
            Order::Finish => self.end = Some(fields(0, "")),
            Order::Drop(fields) => {
                self.unsent.clear();
                self.end = Some(fields);
            }
            Order::Fail(fields) => {
                self.end = Some(fields);
                self.has_failed = true;
                self.deadline = Some(Box::pin(sleep(UNREAD)));
            }
        }
    }

    fn poll_reset(&mut self, context: &mut Context<'_>) -> bool {
        match &mut self.response {
            Some(response) => response.poll_reset(context).is_ready(),
            None => self.respond.poll_reset(context).is_ready(),
        }
    }

    /// Sends as much as the client accepts. Ready when the call has ended, with true if its end was
    /// sent.
    fn poll_sending(&mut self, context: &mut Context<'_>, server: &Shared) -> Poll<bool> {
        while !self.unsent.is_empty() {
            if self.call.peer.poll_room(context).is_pending() {
                return Poll::Pending;
            }
            match self.poll_piece(context) {
                Poll::Ready(Some(size)) => {
                    if self.call.note_sent(size) {
                        server.queue.push(Event::Writable(self.call.number));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.end.is_none() {
            return Poll::Pending;
        }
        Poll::Ready(self.send_end())
    }

    /// Sends a piece of the oldest message. Returns its size, or None if the stream is closed.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        if self.response.is_none() {
            match self.respond.send_response(head(), false) {
                Ok(response) => self.response = Some(response),
                Err(_) => return Poll::Ready(None),
            }
        }
        let (Some(response), Some(message)) = (&mut self.response, self.unsent.front_mut()) else {
            return Poll::Ready(None);
        };
        response.reserve_capacity(message.len());
        while response.capacity() == 0 {
            match response.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        let piece = message.split_to(response.capacity().min(message.len()));
        let size = piece.len();
        self.given += size;
        self.call.peer.note_given(size);
        let is_sent = response.send_data(piece, false).is_ok();
        if message.is_empty() {
            self.unsent.pop_front();
        }
        Poll::Ready(is_sent.then_some(size))
    }

    fn send_end(&mut self) -> bool {
        let Some(fields) = self.end.take() else {
            return false;
        };
        if let Some(response) = &mut self.response {
            return response.send_trailers(*fields).is_ok();
        }
        send_error(&mut self.respond, *fields)
    }
}

/// Ends a call that has no response yet with an error. Returns whether that was possible.
fn send_error(respond: &mut SendResponse<Bytes>, fields: HeaderMap) -> bool {
    let mut response = head();
    response.headers_mut().extend(fields);
    respond.send_response(response, true).is_ok()
}

fn head() -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(CONTENT_TYPE));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity, deflate, gzip"));
    response
}
