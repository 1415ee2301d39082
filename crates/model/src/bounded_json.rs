//! Parses JSON from outside, up to a number of values.
//!
//! A parsed value takes up to a hundred times the memory of its text: `{"":0}` has seven bytes, and
//! its map some six hundred. So the values are counted first, which allocates nothing.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::de::Deserializer;

/// Largest number of values in one text: objects, arrays, texts, numbers, flags and nulls. An event
/// of Key Vault has some 20 of them.
pub const MAX_VALUES: usize = 64_000;

/// The reason why a text is not parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("not JSON (line {line}, column {column})")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// The text has more values than any delivery of Event Grid.
    #[error("more than {MAX_VALUES} values")]
    TooManyValues,
}

/// Parses a text that has at most [`MAX_VALUES`] values.
pub fn bounded_json(text: &[u8]) -> Result<Value, JsonError> {
    let left = Cell::new(Some(MAX_VALUES));
    let counted = Counter(&left).deserialize(&mut Deserializer::from_slice(text));
    if left.get().is_none() {
        return Err(JsonError::TooManyValues);
    }
    let parsed = counted.and_then(|()| serde_json::from_slice(text));
    parsed.map_err(|error| JsonError::Syntax {
        line: error.line(),
        column: error.column(),
    })
}

/// Counts the values in a text down. `None`: there were more.
struct Counter<'c>(&'c Cell<Option<usize>>);

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let left = self.0.get().and_then(|left| left.checked_sub(1));
        self.0.set(left);
        if left.is_none() {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Counter(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_key::<IgnoredAny>()?.is_some() {
            entries.next_value_seed(Counter(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_forms_of_values_are_parsed() {
        let value = json!({ "a": [1, -1, 1.5, true, null, "x", {}, []], "b": { "a": "y" } });
        assert_eq!(bounded_json(value.to_string().as_bytes()), Ok(value));
    }

    #[test]
    fn the_number_of_values_is_bounded_at_any_depth() {
        // The array itself is a value too.
        let numbers = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(bounded_json(numbers(MAX_VALUES - 1).as_bytes()).is_ok());
        for text in [
            numbers(MAX_VALUES),
            format!("[{}]", vec![r#"{"":0}"#; MAX_VALUES / 2].join(",")),
            format!(r#"{{"data":{}}}"#, numbers(MAX_VALUES)),
        ] {
            assert_eq!(bounded_json(text.as_bytes()), Err(JsonError::TooManyValues));
        }
    }

    #[test]
    fn broken_json_has_a_position() {
        let error = bounded_json(b"[1,\n x]").unwrap_err();
        assert_eq!(error, JsonError::Syntax { line: 2, column: 2 });
        assert!(bounded_json(b"1 2").is_err() && bounded_json(&[0xff]).is_err());
    }
}
