//! Reads TOML tables key by key. Problems are collected, so that one does not hide the next.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Value;

use crate::keys::{Key, KeyDefault, ValueForm};
use crate::problem::Problem;

/// A table whose keys are taken out one by one. Keys that are left at the end are unknown.
#[derive(Debug)]
pub(crate) struct Table {
    location: String,
    values: toml::Table,
    keys: &'static [Key],
    /// The keys whose values come from an app setting, each with the location to report.
    replaced: Vec<(&'static str, String)>,
    read: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Table {
    pub(crate) fn new(
        location: impl Into<String>,
        values: toml::Table,
        keys: &'static [Key],
    ) -> Self {
        Self {
            location: location.into(),
            values,
            keys,
            replaced: Vec::new(),
            read: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Replaces the value of a key. Problems with the new one are reported at `location`.
    pub(crate) fn replace(&mut self, key: &'static str, location: String, value: Value) {
        self.values.insert(key.to_owned(), value);
        self.replaced.push((key, location));
    }

    /// Reports a problem with a key, or with the table itself if `key` is empty.
    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let location = self.location_of(key);
        self.problems.push(Problem {
            location,
            message: message.into(),
        });
    }

    /// Takes over the problems of a table within this one, after it has been read.
    pub(crate) fn absorb(&mut self, inner: Self) {
        self.problems.extend(inner.finish());
    }

    /// Ends the reading. Returns all problems, with one for each unknown key.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
        debug_assert!(
            names.iter().all(|name| self.read.contains(name)),
            "{}: a key is in the table of keys and is not read",
            self.location
        );
        let message = format!("unknown key; known are {}", names.join(", "));
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for key in unknown {
            self.problem(&key, message.as_str());
        }
        self.problems
    }

    /// The number of problems so far.
    pub(crate) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// Whether the table has a key that has not been taken out yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => self.expected(key, "a text", &other),
        }
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(flag) => Some(flag),
            other => self.expected(key, "true or false", &other),
        }
    }

    pub(crate) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.take(key)?;
        let number = value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.expected(key, &expected, &value)
    }

    /// Takes a whole number that is a size in memory.
    pub(crate) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<usize> {
        usize::try_from(self.integer(key, range)?).ok()
    }

    /// Takes one of a few words, without regard to case.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words
            .iter()
            .find(|(word, _)| text.eq_ignore_ascii_case(word));
        if found.is_none() {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.problem(key, format!("`{text}` is none of {}", words.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// Takes a text and parses it.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|error: T::Err| self.problem(key, error.to_string()))
            .ok()
    }

    /// Takes a list of texts and parses each. A single text stands for a list of one.
    pub(crate) fn parsed_list<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Vec<T> {
        let items = match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(text @ Value::String(_)) => vec![text],
            Some(other) => self
                .expected(key, "a list of texts", &other)
                .unwrap_or_default(),
        };
        let mut parsed = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let Some(text) = item.as_str() else {
                self.problem(&format!("{key}[{index}]"), "expected a text");
                continue;
            };
            match text.parse() {
                Ok(value) => parsed.push(value),
                Err(error) => self.problem(&format!("{key}[{index}]"), T::Err::to_string(&error)),
            }
        }
        parsed
    }

    /// Takes a table of texts with keys of the author's choice.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(table) = self.table(key, &[]) else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (name, value) in table.values {
            match value {
                Value::String(text) => texts.push((name, text)),
                _ => self.problem(
                    &format!("{key}.{name}"),
                    "expected a text: put it in quotes",
                ),
            }
        }
        texts
    }

    /// Takes a table within this one.
    pub(crate) fn table(&mut self, key: &'static str, keys: &'static [Key]) -> Option<Self> {
        match self.take(key)? {
            Value::Table(values) => Some(Self::new(self.location_of(key), values, keys)),
            other => self.expected(key, "a table", &other),
        }
    }

    /// Takes a table within this one, if the value is a table. Other values stay.
    pub(crate) fn table_if(&mut self, key: &'static str, keys: &'static [Key]) -> Option<Self> {
        if self.values.get(key).is_some_and(Value::is_table) {
            self.table(key, keys)
        } else {
            None
        }
    }

    /// Takes a list of tables.
    pub(crate) fn tables(&mut self, key: &'static str, keys: &'static [Key]) -> Vec<Self> {
        let items = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => self
                .expected(key, &format!("tables: `[[{key}]]`"), &other)
                .unwrap_or_default(),
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::Table(values) => tables.push(Self::new(
                    format!("{}[{index}]", self.location_of(key)),
                    values,
                    keys,
                )),
                _ => self.problem(
                    &format!("{key}[{index}]"),
                    format!("expected a table: `[[{key}]]`"),
                ),
            }
        }
        tables
    }

    /// Takes the value of a key, or else its default.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        let key = self.keys.iter().find(|key| key.name == name);
        debug_assert!(key.is_some(), "`{name}` is not in the table of keys");
        self.read.push(name);
        let value = self.values.remove(name);
        value.or_else(|| match key?.default {
            KeyDefault::Value(text) => toml_value(text).ok()?,
            KeyDefault::Described(_) => None,
        })
    }

    fn expected<T>(&mut self, key: &str, expected: &str, got: &Value) -> Option<T> {
        // A text is not shown: it may be a secret that was pasted into the wrong key.
        let got = match got {
            Value::Integer(number) => number.to_string(),
            other => format!("a value of type {}", other.type_str()),
        };
        self.problem(key, format!("expected {expected}, got {got}"));
        None
    }

    fn location_of(&self, key: &str) -> String {
        let name = key.split('[').next().unwrap_or(key);
        if let Some((replaced, location)) =
            self.replaced.iter().find(|(replaced, _)| *replaced == name)
        {
            return format!(
                "{location}{}",
                key.strip_prefix(replaced).unwrap_or_default()
            );
        }
        match (self.location.ends_with(".toml"), key.is_empty()) {
            (_, true) => self.location.clone(),
            (true, false) => format!("{}: {key}", self.location),
            (false, false) => format!("{}.{key}", self.location),
        }
    }
}

/// Reads the value of an app setting for a key: as a TOML value where the file has a list, a
/// number, a flag or a table, else as plain text. A list may also be separated by commas.
pub(crate) fn value_of_setting(key: &Key, text: &str) -> Result<Value, String> {
    let text = text.trim();
    let as_toml = match key.form {
        ValueForm::Text => false,
        ValueForm::TextOrTable => text.starts_with('{'),
        ValueForm::List => text.starts_with('['),
        ValueForm::Value => true,
    };
    if as_toml {
        let value = toml_value(text).map_err(|error| {
            format!(
                "not a TOML value as after `{} =` in keyrelay.toml: {}",
                key.name,
                error.message()
            )
        })?;
        return value.ok_or_else(|| "expected one value".to_owned());
    }
    Ok(match key.form {
        ValueForm::List => Value::Array(
            text.split([',', '\n'])
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        _ => Value::String(text.to_owned()),
    })
}

fn toml_value(text: &str) -> Result<Option<Value>, toml::de::Error> {
    let mut table: toml::Table = format!("value = {text}").parse()?;
    Ok(table.remove("value"))
}
