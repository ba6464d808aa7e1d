//! prost with one difference: the number of a map entry is always written.
//!
//! prost leaves out default values, and takes -0.0 for 0.0 (prost issue 1177), so the sign would be
//! lost. The generated messages name this module in place of prost.

pub use ::prost::*;

/// `prost::encoding`, with maps that write all entries in full.
pub mod encoding {
    pub use ::prost::encoding::*;

    /// Maps as `BTreeMap`: read by prost, and written in full.
    pub mod btree_map {
        use std::collections::BTreeMap;

        use ::prost::bytes::BufMut;
        pub use ::prost::encoding::btree_map::merge;
        use ::prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

        /// Writes a map.
        pub fn encode<K, V, B: BufMut>(
            key_encode: impl Fn(u32, &K, &mut B),
            key_encoded_len: impl Fn(u32, &K) -> usize,
            value_encode: impl Fn(u32, &V, &mut B),
            value_encoded_len: impl Fn(u32, &V) -> usize,
            tag: u32,
            values: &BTreeMap<K, V>,
            buffer: &mut B,
        ) {
            for (key, value) in values {
                let length = key_encoded_len(1, key) + value_encoded_len(2, value);
                encode_key(tag, WireType::LengthDelimited, buffer);
                encode_varint(length as u64, buffer);
                key_encode(1, key, buffer);
                value_encode(2, value, buffer);
            }
        }

        /// Returns the number of bytes that [`encode`] writes.
        pub fn encoded_len<K, V>(
            key_encoded_len: impl Fn(u32, &K) -> usize,
            value_encoded_len: impl Fn(u32, &V) -> usize,
            tag: u32,
            values: &BTreeMap<K, V>,
        ) -> usize {
            let entry = |(key, value)| {
                let length = key_encoded_len(1, key) + value_encoded_len(2, value);
                key_len(tag) + encoded_len_varint(length as u64) + length
            };
            values.iter().map(entry).sum()
        }
    }
}
