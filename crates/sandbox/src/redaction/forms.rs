//! The forms in which a value is searched for.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use keyrelay_model::SettingName;

use super::SHORTEST;
use super::reading::Reading;

/// One form of a value or of one of its lines.
#[derive(Debug)]
pub(super) struct Form {
    /// The setting that has the value.
    pub(super) setting: SettingName,
    /// The bytes to find in a [`Reading`].
    pub(super) bytes: Vec<u8>,
    /// Whether the characters around the bytes hold bits of the value too, as in base64.
    edges: Edges,
}

#[derive(Debug, Clone, Copy)]
struct Edges {
    before: bool,
    after: bool,
}

/// Adds the forms of a value: of the whole, and of each line that is long enough.
pub(super) fn push(forms: &mut Vec<Form>, setting: &SettingName, value: &str) {
    let lines = value.split(['\n', '\r']).map(str::trim);
    let whole = value.trim();
    for part in std::iter::once(whole).chain(lines.filter(|line| *line != whole)) {
        let bytes = canonical(part);
        if bytes.len() < SHORTEST {
            continue;
        }
        let edges = Edges {
            before: false,
            after: false,
        };
        let plain = Form {
            setting: setting.clone(),
            bytes,
            edges,
        };
        forms.push(plain);
        (0..3).for_each(|offset| push_base64(forms, setting, part.as_bytes(), offset));
    }
}

/// A text as all readings spell it, without white space at its ends.
pub(super) fn canonical(text: &str) -> Vec<u8> {
    let reading = Reading::of(text).canonical();
    reading.bytes().trim_ascii().to_vec()
}

/// Adds base64 of the bytes as it is after `offset` other bytes, modulo three: the characters that
/// depend on nothing else.
fn push_base64(forms: &mut Vec<Form>, setting: &SettingName, bytes: &[u8], offset: usize) {
    let mut preceded = vec![0; offset];
    preceded.extend_from_slice(bytes);
    let bits = preceded.len() * 8;
    let own = (offset * 8).div_ceil(6)..bits / 6;
    let edges = Edges {
        before: offset > 0,
        after: !bits.is_multiple_of(6),
    };
    let standard = STANDARD_NO_PAD.encode(&preceded);
    let url_safe = URL_SAFE_NO_PAD.encode(&preceded);
    let is_same = standard == url_safe;
    for encoded in [Some(standard), (!is_same).then_some(url_safe)] {
        let own = encoded.as_ref().and_then(|text| text.get(own.clone()));
        forms.extend(own.map(|own| Form {
            setting: setting.clone(),
            bytes: own.as_bytes().to_vec(),
            edges,
        }));
    }
}

impl Form {
    /// The part of the text that a match in its reading stands for.
    pub(super) fn source(&self, reading: &Reading, at: usize) -> Range<usize> {
        let bytes = reading.bytes();
        let is_base64 = |at: usize| {
            let byte = bytes.get(at).copied().unwrap_or_default();
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
        };
        let (mut start, mut end) = (at, at + self.bytes.len());
        if self.edges.before && start > 0 && is_base64(start - 1) {
            start -= 1;
        }
        if self.edges.after && is_base64(end) {
            end += 1;
            end += bytes.iter().skip(end).take_while(|it| **it == b'=').count();
        }
        reading.source(start..end)
    }

    /// The place in the text at which its end begins to spell this form, but not the whole of it.
    pub(super) fn at_end(&self, reading: &Reading) -> Option<usize> {
        let text = reading.bytes();
        let longest = self.bytes.len().saturating_sub(1).min(text.len());
        let length = (1..=longest).rev().find(|length| {
            let start = self.bytes.get(..*length);
            start.is_some_and(|start| text.ends_with(start))
        })?;
        Some(reading.source(text.len() - length..text.len()).start)
    }
}
