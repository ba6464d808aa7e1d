//! Reads the messages of a request: gRPC's framing, compression and sizes.
//!
//! Codes and texts of errors are those of grpcio, so that clients see no difference.

use std::io::Read;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use flate2::read::{GzDecoder, ZlibDecoder};
use h2::RecvStream;
use http::{HeaderMap, HeaderValue};

use crate::status::{INTERNAL, RESOURCE_EXHAUSTED, fields};

const PREFIX_BYTES: usize = 5;

/// The header fields of an error: why a request cannot be read.
pub type Refused = Box<HeaderMap>;

#[derive(Clone, Copy)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

pub struct Body {
    stream: RecvStream,
    encoding: Encoding,
    received: BytesMut,
    unreleased: usize,
    most_bytes: usize,
    has_ended: bool,
}

impl Body {
    /// Makes a reader of a request's body. A message may have at most `most_bytes`.
    pub fn new(
        stream: RecvStream,
        encoding: Option<&HeaderValue>,
        most_bytes: usize,
    ) -> Result<Self, Refused> {
        let encoding = match encoding.map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Encoding::Identity,
            Some(b"gzip") => Encoding::Gzip,
            Some(b"deflate") => Encoding::Deflate,
            Some(_) => return Err(fields(INTERNAL, "Error parsing 'grpc-encoding' metadata")),
        };
        let received = BytesMut::new();
        Ok(Self { stream, encoding, received, unreleased: 0, most_bytes, has_ended: false })
    }

    /// Returns the next message, or None if the request ends before the message is complete.
    ///
    /// With `is_eager`, the client may send the whole message. Otherwise it may only fill its
    /// window.
    pub fn poll_message(
        &mut self,
        context: &mut Context<'_>,
        is_eager: bool,
    ) -> Poll<Result<Option<Bytes>, Refused>> {
        loop {
            if is_eager && self.unreleased > 0 {
                let _ = self.stream.flow_control().release_capacity(self.unreleased);
                self.unreleased = 0;
            }
            if let Some(message) = self.complete(is_eager)? {
                return Poll::Ready(Ok(Some(message)));
            }
            if self.has_ended {
                return Poll::Ready(Ok(None));
            }
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(piece)) => {
                    self.unreleased += piece.len();
                    self.received.extend_from_slice(&piece);
                }
                Some(Err(_)) | None => self.has_ended = true,
            }
        }
    }

    fn complete(&mut self, is_eager: bool) -> Result<Option<Bytes>, Refused> {
        if self.received.len() < PREFIX_BYTES {
            return Ok(None);
        }
        let mut prefix = &self.received[..PREFIX_BYTES];
        let (flag, size) = (prefix.get_u8(), prefix.get_u32() as usize);
        if size > self.most_bytes {
            let limit = self.most_bytes;
            let text = format!("SERVER: Received message larger than max ({size} vs. {limit})");
            return Err(fields(RESOURCE_EXHAUSTED, &text));
        }
        if self.received.len() < PREFIX_BYTES + size {
            if is_eager {
                self.received.reserve(PREFIX_BYTES + size - self.received.len());
            }
            return Ok(None);
        }
        self.received.advance(PREFIX_BYTES);
        let message = self.received.split_to(size).freeze();
        let _ = self.stream.flow_control().release_capacity(std::mem::take(&mut self.unreleased));
        if flag & 1 == 0 { Ok(Some(message)) } else { self.unpacked(&message).map(Some) }
    }

    /// Unpacks a message. Stops at the size limit, so that a small request cannot fill the memory.
    fn unpacked(&self, message: &[u8]) -> Result<Bytes, Refused> {
        let most = self.most_bytes as u64 + 1;
        let mut content = Vec::new();
        let result = match self.encoding {
            Encoding::Gzip => GzDecoder::new(message).take(most).read_to_end(&mut content),
            Encoding::Deflate => ZlibDecoder::new(message).take(most).read_to_end(&mut content),
            Encoding::Identity => {
                return Err(fields(INTERNAL, "Compression bit set but no encoding configured"));
            }
        };
        match result {
            Err(_) => Err(fields(INTERNAL, "Decompression failed due to zlib error")),
            Ok(size) if size > self.most_bytes => {
                Err(fields(RESOURCE_EXHAUSTED, "Decompressed message larger than max"))
            }
            Ok(_) => Ok(content.into()),
        }
    }
}
