//! The header fields that end a call: its gRPC status.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

// The numbers of gRPC's codes.
pub const DEADLINE_EXCEEDED: u16 = 4;
pub const RESOURCE_EXHAUSTED: u16 = 8;
pub const UNIMPLEMENTED: u16 = 12;
pub const INTERNAL: u16 = 13;

const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Returns the fields of an error without metadata.
pub fn fields(code: u16, text: &str) -> Box<HeaderMap> {
    let mut result = HeaderMap::with_capacity(4);
    result.insert("grpc-status", HeaderValue::from(code));
    let text = percent_encode(text.as_bytes(), ENCODED).to_string();
    if let Ok(value) = HeaderValue::try_from(text) {
        result.insert("grpc-message", value);
    }
    Box::new(result)
}

/// Returns the fields of an error with metadata; None if a key or value cannot be sent.
pub fn fields_with(
    code: u16,
    text: &str,
    metadata: &[(String, Vec<u8>)],
) -> Option<Box<HeaderMap>> {
    let mut result = fields(code, text);
    for (key, value) in metadata {
        let name = HeaderName::try_from(key.as_str()).ok()?;
        let value = if key.ends_with("-bin") {
            HeaderValue::try_from(STANDARD_NO_PAD.encode(value)).ok()?
        } else {
            HeaderValue::from_bytes(value).ok()?
        };
        result.append(name, value);
    }
    Some(result)
}
