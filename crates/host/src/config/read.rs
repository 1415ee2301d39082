//! Reads TOML tables key by key, and collects what is wrong instead of stopping at it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Value;

use super::Problem;

/// A table whose keys are taken out one by one. What is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Table {
    place: String,
    values: toml::Table,
    /// Where a key's value really comes from, if not from this table.
    replaced: Vec<(&'static str, String)>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Table {
    pub(super) fn new(place: impl Into<String>, values: toml::Table) -> Self {
        Self {
            place: place.into(),
            values,
            replaced: Vec::new(),
            known: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Puts another value in the place of a key's; problems with it are reported at `place`.
    pub(super) fn replace(&mut self, key: &'static str, place: String, value: Value) {
        self.values.insert(key.to_owned(), value);
        self.replaced.push((key, place));
    }

    /// Reports a problem with a key, or with the table itself if `key` is empty.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let place = self.place_of(key);
        self.problems.push(Problem {
            place,
            message: message.into(),
        });
    }

    /// Takes over the problems of a table within this one, once it has been read.
    pub(super) fn absorb(&mut self, inner: Self) {
        self.problems.extend(inner.finish());
    }

    /// Ends the reading: all problems, with one for each key that nobody asked for.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for key in unknown {
            let message = format!("unknown key; known are {}", self.known.join(", "));
            self.problem(&key, message);
        }
        self.problems
    }

    /// Whether a key is there and has not been taken out yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => self.expected(key, "a text", &other),
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(flag) => Some(flag),
            other => self.expected(key, "true or false", &other),
        }
    }

    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
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

    /// One of a few words, without case.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
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

    /// A text that is parsed.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|error: T::Err| self.problem(key, error.to_string()))
            .ok()
    }

    /// A list of texts, each parsed. A single text stands for a list of one.
    pub(super) fn parsed_list<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Vec<T> {
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

    /// A table of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(table) = self.table(key) else {
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

    /// A table within this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        match self.take(key)? {
            Value::Table(values) => Some(Self::new(self.place_of(key), values)),
            other => self.expected(key, "a table", &other),
        }
    }

    /// A table within this one, if the value is a table; other values stay.
    pub(super) fn table_if(&mut self, key: &'static str) -> Option<Self> {
        if self.values.get(key).is_some_and(Value::is_table) {
            self.table(key)
        } else {
            None
        }
    }

    /// A list of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
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
                    format!("{}[{index}]", self.place_of(key)),
                    values,
                )),
                _ => self.problem(
                    &format!("{key}[{index}]"),
                    format!("expected a table: `[[{key}]]`"),
                ),
            }
        }
        tables
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.values.remove(key)
    }

    fn expected<T>(&mut self, key: &str, expected: &str, got: &Value) -> Option<T> {
        // A text is not shown: it may have been put into the wrong place, and be a secret.
        let got = match got {
            Value::Integer(number) => number.to_string(),
            other => format!("a value of type {}", other.type_str()),
        };
        self.problem(key, format!("expected {expected}, got {got}"));
        None
    }

    fn place_of(&self, key: &str) -> String {
        let name = key.split('[').next().unwrap_or(key);
        if let Some((replaced, place)) =
            self.replaced.iter().find(|(replaced, _)| *replaced == name)
        {
            return format!("{place}{}", key.strip_prefix(replaced).unwrap_or_default());
        }
        match (self.place.ends_with(".toml"), key.is_empty()) {
            (_, true) => self.place.clone(),
            (true, false) => format!("{}: {key}", self.place),
            (false, false) => format!("{}.{key}", self.place),
        }
    }
}

/// Reads the value of an app setting for a key: a TOML value where the file has a list, a number or a table; else the
/// text as it is. A list may also be written with commas.
pub(super) fn value_of_setting(key: &str, text: &str) -> Result<Value, String> {
    let text = text.trim();
    let as_toml = || {
        let table: toml::Table =
            format!("value = {text}")
                .parse()
                .map_err(|error: toml::de::Error| {
                    format!(
                        "not a TOML value as after `{key} =` in keyrelay.toml: {}",
                        error.message()
                    )
                })?;
        table
            .get("value")
            .cloned()
            .ok_or_else(|| "expected one value".to_owned())
    };
    match key {
        "scope" | "vaults" if !text.starts_with('[') => {
            let items = text
                .split([',', '\n'])
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(Value::Array(
                items.map(|item| Value::String(item.to_owned())).collect(),
            ))
        }
        "scope" | "vaults" | "answer_within_ms" | "apps_at_once" | "lease_ms"
        | "keep_runs_days" | "locked" | "rotation" | "webhook" => as_toml(),
        "cloud" if text.starts_with('{') => as_toml(),
        _ => Ok(Value::String(text.to_owned())),
    }
}
