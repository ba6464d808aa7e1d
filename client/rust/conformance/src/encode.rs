//! The proto3 JSON mapping, read straight into the bytes of a message: exactly as it is written,
//! the signs of zeros and unknown enum numbers included.

use prost::encoding::{self, WireType};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use prost_types::Timestamp;
use serde_json::Value;

use crate::Verdict;

/// Writes what the JSON says as a message of this kind.
pub(crate) fn encode(kind: &MessageDescriptor, json: &Value, out: &mut Vec<u8>) -> Verdict {
    if kind.full_name() == "google.protobuf.Timestamp" {
        let time: Result<Timestamp, _> = text(json)?.parse();
        let time = time.map_err(|error| format!("{error:?} in {json}"))?;
        return prost::Message::encode(&time, out).map_err(|error| error.to_string());
    }
    let fields = json
        .as_object()
        .ok_or_else(|| format!("no object: {json}"))?;
    for (name, value) in fields {
        let field = kind.get_field_by_json_name(name);
        let field = field.ok_or_else(|| format!("{} has no {name}", kind.full_name()))?;
        encode_field(&field, value, out)?;
    }
    Ok(())
}

fn encode_field(field: &FieldDescriptor, json: &Value, out: &mut Vec<u8>) -> Verdict {
    if field.is_map() {
        let entries = json.as_object().ok_or_else(|| format!("no map: {json}"))?;
        for (key, value) in entries {
            encode_entry(field, key, value, out)?;
        }
        return Ok(());
    }
    if field.is_list() {
        let items = json.as_array().ok_or_else(|| format!("no list: {json}"))?;
        return items
            .iter()
            .try_for_each(|item| encode_one(field, item, out));
    }
    encode_one(field, json, out)
}

fn encode_entry(field: &FieldDescriptor, key: &str, value: &Value, out: &mut Vec<u8>) -> Verdict {
    let kind = field.kind();
    let entry = kind.as_message().ok_or("a map has entries")?;
    let mut bytes = Vec::new();
    encoding::string::encode(1, &key.to_owned(), &mut bytes);
    encode_one(&entry.map_entry_value_field(), value, &mut bytes)?;
    encoding::bytes::encode(field.number(), &bytes, out);
    Ok(())
}

fn encode_one(field: &FieldDescriptor, json: &Value, out: &mut Vec<u8>) -> Verdict {
    let tag = field.number();
    match field.kind() {
        Kind::String => encoding::string::encode(tag, &text(json)?.to_owned(), out),
        Kind::Double => encoding::double::encode(tag, &double(json)?, out),
        Kind::Int64 => encoding::int64::encode(tag, &integer(json)?, out),
        Kind::Int32 => {
            let number = i32::try_from(integer(json)?).map_err(|error| error.to_string())?;
            encoding::int32::encode(tag, &number, out);
        }
        Kind::Bool => {
            let truth = json.as_bool().ok_or_else(|| format!("no bool: {json}"))?;
            encoding::bool::encode(tag, &truth, out);
        }
        Kind::Enum(kind) => encoding::int32::encode(tag, &enum_number(&kind, json)?, out),
        Kind::Message(kind) => {
            let mut bytes = Vec::new();
            encode(&kind, json, &mut bytes)?;
            encoding::encode_key(tag, WireType::LengthDelimited, out);
            encoding::encode_varint(bytes.len() as u64, out);
            out.extend(bytes);
        }
        other => return Err(format!("this runner does not know {other:?}")),
    }
    Ok(())
}

fn text(json: &Value) -> Result<&str, String> {
    json.as_str().ok_or_else(|| format!("no text: {json}"))
}

fn double(json: &Value) -> Result<f64, String> {
    match json.as_str() {
        Some("NaN") => Ok(f64::NAN),
        Some("Infinity") => Ok(f64::INFINITY),
        Some("-Infinity") => Ok(f64::NEG_INFINITY),
        _ => json.as_f64().ok_or_else(|| format!("no number: {json}")),
    }
}

fn integer(json: &Value) -> Result<i64, String> {
    let number = json.as_i64().or_else(|| json.as_str()?.parse().ok());
    number.ok_or_else(|| format!("no integer: {json}"))
}

fn enum_number(kind: &EnumDescriptor, json: &Value) -> Result<i32, String> {
    if kind.full_name() == "google.protobuf.NullValue" && json.is_null() {
        return Ok(0);
    }
    let Some(name) = json.as_str() else {
        return i32::try_from(integer(json)?).map_err(|error| error.to_string());
    };
    let value = kind.get_value_by_name(name);
    value
        .map(|value| value.number())
        .ok_or_else(|| format!("no {name}"))
}
