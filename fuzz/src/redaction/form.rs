//! The forms of a value: as it is, in base64, and behind one or two encodings.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::made_of_bytes::{enum_of_bytes, struct_of_bytes};

enum_of_bytes! {
    /// A form of a value. base64 is of the value itself, and counts as one of two encodings.
    #[derive(Debug)]
    pub(super) enum Form {
        Plain,
        Once(Escape),
        Twice(Escape, Escape),
        Base64(Base64),
        Base64Behind(Base64, Escape),
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    pub(super) enum Escape {
        Json,
        /// JSON with each character as `\u0041`.
        JsonOfUtf16,
        Debug,
        /// Rust's escape of each character: `\u{41}`.
        Unicode,
        Percent {
            is_lower: bool,
            of_all: bool,
        },
    }
}

struct_of_bytes! {
    #[derive(Debug)]
    pub(super) struct Base64 {
        is_for_urls: bool,
        is_padded: bool,
        /// The number of other bytes before the value, and after it: the alignment.
        before: u8,
        after: u8,
    }
}

/// A value in one form.
pub(super) struct Encoded {
    pub(super) text: String,
    /// The part that gives the value away.
    pub(super) telling: String,
    /// The parts that hold the bytes around the value, and a character's worth of the value.
    pub(super) harmless: Vec<String>,
}

impl Form {
    pub(super) fn encode(&self, value: &str) -> Encoded {
        let whole = |text: String| Encoded {
            telling: text.clone(),
            text,
            harmless: Vec::new(),
        };
        match self {
            Self::Plain => whole(value.to_owned()),
            Self::Once(escape) => whole(escape.encode(value)),
            Self::Twice(inner, outer) => whole(outer.encode(&inner.encode(value))),
            Self::Base64(base64) => base64.encode(value, str::to_owned),
            Self::Base64Behind(base64, escape) => base64.encode(value, |it| escape.encode(it)),
        }
    }
}

impl Escape {
    fn encode(&self, text: &str) -> String {
        match self {
            Self::Json => {
                let quoted = serde_json::to_string(text).expect("a text is JSON");
                let inner = quoted.get(1..quoted.len() - 1);
                inner.expect("JSON has quotes").to_owned()
            }
            Self::JsonOfUtf16 => joined(text.encode_utf16(), |unit, out| {
                write!(out, "\\u{unit:04x}")
            }),
            Self::Debug => text.escape_debug().to_string(),
            Self::Unicode => text.escape_unicode().to_string(),
            Self::Percent { is_lower, of_all } => joined(text.bytes(), |byte, out| match byte {
                byte if byte.is_ascii_alphanumeric() && !of_all => {
                    write!(out, "{}", char::from(byte))
                }
                byte if *is_lower => write!(out, "%{byte:02x}"),
                byte => write!(out, "%{byte:02X}"),
            }),
        }
    }
}

fn joined<T>(
    parts: impl Iterator<Item = T>,
    write: impl Fn(T, &mut String) -> std::fmt::Result,
) -> String {
    let mut joined = String::new();
    for part in parts {
        write(part, &mut joined).expect("a string can be written");
    }
    joined
}

impl Base64 {
    /// Encodes the value and the bytes around it, and wraps the result.
    fn encode(&self, value: &str, wrap: impl Fn(&str) -> String) -> Encoded {
        /// A group of base64, in characters. What is left of a value at either side is less.
        const EDGE: usize = 4;
        let around = |count: u8| "~".repeat(usize::from(count % 3));
        let (before, after) = (around(self.before), around(self.after));
        let engine = match (self.is_for_urls, self.is_padded) {
            (false, true) => STANDARD,
            (false, false) => STANDARD_NO_PAD,
            (true, true) => URL_SAFE,
            (true, false) => URL_SAFE_NO_PAD,
        };
        let text = engine.encode(format!("{before}{value}{after}"));
        let end = text.trim_end_matches('=').len().saturating_sub(EDGE);
        let part = |from: usize, to: usize| text.get(from..to.max(from)).unwrap_or_default();
        Encoded {
            telling: wrap(match end > EDGE {
                true => part(EDGE, end),
                false => &text,
            }),
            harmless: vec![
                wrap(part(0, 2 * EDGE)),
                wrap(part(end.saturating_sub(EDGE), text.len())),
            ],
            text: wrap(&text),
        }
    }
}
