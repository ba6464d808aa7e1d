//! Makes the host of requests (`:authority`) valid, before the HTTP/2 library reads it.
//!
//! For a `unix:` address, gRPC's C library sends the path of the socket as the host, with `%2F` for
//! each slash. The HTTP/2 library rejects such a host. Nothing else reads the host. So each `%` in
//! it is replaced by `-`, in the received bytes.

/// The part of a header block to which the next byte belongs.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Outside of header blocks, or in a padded block.
    Outside,
    Field,
    Index,
    LengthBegin,
    Length,
    Text,
}

const NAME: &[u8] = b":authority";
/// The index of this name in the static table of HPACK, the encoding of headers.
const INDEX: usize = 1;
const PERCENT: u8 = b'%';
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;

/// Follows the header blocks of a connection, without decoding them.
pub struct Hosts {
    part: Part,
    skip: usize,
    number: usize,
    shift: u32,
    texts: u8,
    is_host: bool,
}

impl Hosts {
    pub fn new() -> Self {
        Self { part: Part::Outside, skip: 0, number: 0, shift: 0, texts: 0, is_host: false }
    }

    /// Begins a block, with the flags of its first frame. Ignores padded blocks: no client sends
    /// them.
    pub fn begin(&mut self, flags: u8) {
        self.part = if flags & PADDED == 0 { Part::Field } else { Part::Outside };
        self.skip = if flags & PRIORITY == 0 { 0 } else { PRIORITY_BYTES };
    }

    pub fn end(&mut self) {
        self.part = Part::Outside;
    }

    /// Follows a piece of a block, and replaces each `%` in its host.
    pub fn follow(&mut self, piece: &mut [u8]) {
        if self.part == Part::Outside {
            return;
        }
        let skipped = self.skip.min(piece.len());
        self.skip -= skipped;
        for byte in &mut piece[skipped..] {
            self.follow_byte(byte);
        }
    }

    fn follow_byte(&mut self, byte: &mut u8) {
        match self.part {
            Part::Outside => {}
            Part::Field => {
                let (mask, texts) = match *byte {
                    0x80.. => (0x7f, 0),
                    0x40.. => (0x3f, 1),
                    0x20.. => (0x1f, 0),
                    _ => (0x0f, 1),
                };
                self.texts = texts;
                self.begin_number(*byte, mask, Part::Index);
            }
            Part::LengthBegin => {
                // A Huffman-coded host has no byte of its own for `%`, so it is left as it is.
                self.is_host &= *byte & 0x80 == 0;
                self.begin_number(*byte, 0x7f, Part::Length);
            }
            Part::Index | Part::Length => {
                let more = usize::from(*byte & 0x7f).checked_shl(self.shift).unwrap_or(0);
                self.number = self.number.saturating_add(more);
                self.shift = self.shift.saturating_add(7);
                if *byte & 0x80 == 0 {
                    self.end_number();
                }
            }
            Part::Text => {
                if self.texts > 1 {
                    self.is_host = self.is_host && NAME[NAME.len() - self.number] == *byte;
                } else if self.is_host && *byte == PERCENT {
                    *byte = b'-';
                }
                self.number -= 1;
                self.end_text_at_zero();
            }
        }
    }

    fn begin_number(&mut self, byte: u8, mask: u8, part: Part) {
        self.part = part;
        self.number = usize::from(byte & mask);
        self.shift = 0;
        if byte & mask < mask {
            self.end_number();
        }
    }

    fn end_number(&mut self) {
        if self.part == Part::Length {
            self.part = Part::Text;
            // This text is the value, or a name that can be `:authority`.
            self.is_host &= self.texts == 1 || self.number == NAME.len();
            return self.end_text_at_zero();
        }
        if self.texts == 0 {
            self.part = Part::Field;
            return;
        }
        // With index 0, the name is sent as a text before the value.
        self.texts = if self.number == 0 { 2 } else { 1 };
        self.is_host = self.number == INDEX || self.number == 0;
        self.part = Part::LengthBegin;
    }

    fn end_text_at_zero(&mut self) {
        if self.number == 0 {
            self.texts -= 1;
            self.part = if self.texts == 0 { Part::Field } else { Part::LengthBegin };
        }
    }
}
