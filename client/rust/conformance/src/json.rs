//! Messages to and from the proto3 JSON mapping, and exact comparison.

use std::sync::LazyLock;

use podium::v1::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use prost_reflect::{ReflectMessage, Value as Field};
use serde_json::Value;

use crate::Verdict;
use crate::encode::encode;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors are generated")
});

/// The descriptor of a message of `podium.v1`.
pub(crate) fn descriptor(name: &str) -> Result<MessageDescriptor, String> {
    let full = format!("podium.v1.{name}");
    let found = POOL.get_message_by_name(&full);
    found.ok_or_else(|| format!("there is no message {full}"))
}

/// A message as the JSON says it.
fn parse(kind: MessageDescriptor, json: &Value) -> Result<DynamicMessage, String> {
    let mut bytes = Vec::new();
    encode(&kind, json, &mut bytes)?;
    DynamicMessage::decode(kind, bytes.as_slice()).map_err(|error| error.to_string())
}

/// A message of the client as the JSON says it.
pub(crate) fn typed<M: Message + Default>(name: &str, json: &Value) -> Result<M, String> {
    let mut bytes = Vec::new();
    encode(&descriptor(name)?, json, &mut bytes)?;
    M::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

/// A message of the client, field by field.
pub(crate) fn dynamic<M: Message>(name: &str, message: &M) -> Result<DynamicMessage, String> {
    let bytes = message.encode_to_vec();
    DynamicMessage::decode(descriptor(name)?, bytes.as_slice()).map_err(|error| error.to_string())
}

/// Holds a message of the client against another one, doubles by their bits.
pub(crate) fn equal<M: Message>(name: &str, found: &M, expected: &M) -> Verdict {
    let (found, expected) = (dynamic(name, found)?, dynamic(name, expected)?);
    if same_messages(&found, &expected) {
        return Ok(());
    }
    Err(format!("{found:?} instead of {expected:?}"))
}

/// Holds the fields that the JSON names against a message; null stands for unset.
pub(crate) fn check(expected: &Value, found: &DynamicMessage, place: &str) -> Verdict {
    let named = expected.as_object().ok_or(format!("{place}: no object"))?;
    for (name, value) in named {
        let field = found.descriptor().get_field_by_json_name(name);
        let field = field.ok_or(format!("{place} has no {name}"))?;
        check_field(value, found, &field, &format!("{place}.{name}"))?;
    }
    Ok(())
}

fn check_field(
    expected: &Value,
    found: &DynamicMessage,
    field: &FieldDescriptor,
    place: &str,
) -> Verdict {
    if expected.is_null() {
        let unset = !found.has_field(field);
        return unset.then_some(()).ok_or(format!("{place} is set"));
    }
    match (found.get_field(field).as_ref(), expected) {
        (Field::List(items), Value::Array(wanted)) if is_compound(field) => {
            check_list(wanted, items, place)
        }
        (Field::Message(inner), _) if is_compound(field) => check(expected, inner, place),
        (value, _) => {
            let alone = Value::from_iter([(field.json_name(), expected.clone())]);
            let wanted = parse(found.descriptor(), &alone)?;
            let wanted = wanted.get_field(field);
            let agrees = same(value, &wanted) || (is_statistic(field) && near(value, &wanted));
            agrees
                .then_some(())
                .ok_or(format!("{place} is {value:?} instead of {wanted:?}"))
        }
    }
}

fn check_list(expected: &[Value], found: &[Field], place: &str) -> Verdict {
    if expected.len() != found.len() {
        return Err(format!("{place} has {} elements: {found:?}", found.len()));
    }
    for (index, (wanted, item)) in expected.iter().zip(found).enumerate() {
        let message = item.as_message().ok_or(format!("{place}: no message"))?;
        check(wanted, message, &format!("{place}[{index}]"))?;
    }
    Ok(())
}

/// Whether a number is computed from several: it may differ by rounding.
fn is_statistic(field: &FieldDescriptor) -> bool {
    field.parent_message().full_name() == "podium.v1.ScoreStatistics"
}

fn near(left: &Field, right: &Field) -> bool {
    match (left, right) {
        (Field::F64(a), Field::F64(b)) => (a - b).abs() <= 1e-9 * b.abs(),
        _ => false,
    }
}

/// Whether a field holds messages of which only some fields are compared.
fn is_compound(field: &FieldDescriptor) -> bool {
    let whole = ["podium.v1.Value", "google.protobuf.Timestamp"];
    match field.kind() {
        Kind::Message(kind) => !field.is_map() && !whole.contains(&kind.full_name()),
        _ => false,
    }
}

fn same_messages(left: &DynamicMessage, right: &DynamicMessage) -> bool {
    left.fields().count() == right.fields().count()
        && left
            .fields()
            .all(|(field, value)| right.has_field(&field) && same(value, &right.get_field(&field)))
}

/// Whether two values are the same: NaN is NaN, and -0.0 is not 0.0.
fn same(left: &Field, right: &Field) -> bool {
    match (left, right) {
        (Field::F64(a), Field::F64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Field::Message(a), Field::Message(b)) => same_messages(a, b),
        (Field::List(a), Field::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Field::Map(a), Field::Map(b)) => {
            let found = |(key, value)| b.get(key).is_some_and(|other| same(value, other));
            a.len() == b.len() && a.iter().all(found)
        }
        (a, b) => a == b,
    }
}
