//! Counts the frames and bytes of a connection, between the socket and the HTTP/2 library.
//!
//! Frames that carry no request take time, and the HTTP/2 library does not limit them: pings,
//! settings, resets, window updates, continued headers. A connection that sends too many is closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::connection::Peer;
use crate::host::Hosts;

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
/// The frames that are read before other connections have their turn.
const FRAMES_AT_ONCE: u32 = 64;

/// Limits the frames of one kind: `most` at once, and `each_second` in the long run.
struct Allowance {
    left: f64,
    most: f64,
    each_second: f64,
}

impl Allowance {
    fn new(most: f64, each_second: f64) -> Self {
        Self { left: most, most, each_second }
    }

    fn renew(&mut self, seconds: f64) {
        self.left = self.most.min(self.left + seconds * self.each_second);
    }

    fn take(&mut self) -> bool {
        self.left -= 1.0;
        self.left >= 0.0
    }
}

/// Reads and writes the bytes of a connection, and counts its frames.
pub struct Meter<T> {
    inner: T,
    peer: Arc<Peer>,
    skip: usize,
    head: [u8; HEAD_BYTES],
    filled: usize,
    read_at: Instant,
    frames: u32,
    hosts: Hosts,
    resets: Allowance,
    updates: Allowance,
    others: Allowance,
}

impl<T> Meter<T> {
    pub fn new(inner: T, peer: Arc<Peer>) -> Self {
        Self {
            inner,
            peer,
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            filled: 0,
            read_at: Instant::now(),
            frames: 0,
            hosts: Hosts::new(),
            resets: Allowance::new(4_000.0, 400.0),
            updates: Allowance::new(20_000.0, 10_000.0),
            others: Allowance::new(500.0, 50.0),
        }
    }

    /// Counts the frames in received bytes. Returns false if there are too many.
    fn count(&mut self, mut bytes: &mut [u8]) -> bool {
        let now = Instant::now();
        let seconds = (now - self.read_at).as_secs_f64();
        self.read_at = now;
        for allowance in [&mut self.resets, &mut self.updates, &mut self.others] {
            allowance.renew(seconds);
        }
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let (payload, rest) = bytes.split_at_mut(skipped);
            self.hosts.follow(payload);
            bytes = rest;
            let taken = (HEAD_BYTES - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &mut bytes[taken..];
            if self.filled == HEAD_BYTES {
                self.filled = 0;
                let [high, middle, low, kind, flags, ..] = self.head;
                self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
                match kind {
                    HEADERS => self.hosts.begin(flags),
                    CONTINUATION => {}
                    _ => self.hosts.end(),
                }
                if !self.allows(kind, flags) {
                    return false;
                }
            }
        }
        true
    }

    fn allows(&mut self, kind: u8, flags: u8) -> bool {
        self.frames += u32::from(kind != DATA);
        match kind {
            HEADERS => true,
            DATA if self.skip > 0 || flags & ACK != 0 => true,
            SETTINGS if flags & ACK != 0 => {
                self.peer.note_settings();
                true
            }
            RESET => self.resets.take(),
            WINDOW_UPDATE => self.updates.take(),
            _ => self.others.take(),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Meter<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.frames > FRAMES_AT_ONCE {
            // The HTTP/2 library would read on for as long as there is something to read.
            self.frames = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.peer.note_read();
        if self.count(&mut buffer.filled_mut()[before..]) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Ready(Err(io::Error::other("too many frames that carry no request")))
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Meter<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, buffer))?;
        self.peer.note_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, buffers))?;
        self.peer.note_written(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
