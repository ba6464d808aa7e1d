//! Values are made of anything JSON-like.

use std::collections::BTreeMap;

use crate::v1::{Value, ValueList, ValueMap, value::Kind};

impl Value {
    /// Nothing, said on purpose.
    #[must_use]
    pub fn null() -> Self {
        Kind::NullValue(0).into()
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Kind::BoolValue(value).into()
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::from(i64::from(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Kind::IntValue(value).into()
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Kind::DoubleValue(value).into()
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::from(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Kind::StringValue(value).into()
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Kind::ListValue(ValueList { values }).into()
    }
}

impl<T: Into<Value>> From<BTreeMap<String, T>> for Value {
    fn from(entries: BTreeMap<String, T>) -> Self {
        let entries = entries.into_iter().map(|(k, v)| (k, v.into())).collect();
        Kind::MapValue(ValueMap { entries }).into()
    }
}
