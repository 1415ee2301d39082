//! Redaction: texts with revealed values in every form that keyrelay promises to find.

mod form;

use std::collections::HashSet;

use arbitrary::{Arbitrary as _, Unstructured};
use keyrelay_model::{SettingName, SettingValue, is_unprintable};
use keyrelay_sandbox::{Redaction, VisibleSetting, VisibleValue};

use form::{Encoded, Form};

use crate::made_of_bytes::{enum_of_bytes, struct_of_bytes};

/// The length of a part that counts as given away, in bytes.
const GRAM: usize = 4;

/// The text that replaces a value.
const HIDDEN: &str = "[hidden]";

/// The separators of a text. One is used that no value has, and that belongs to no form.
const SEPARATORS: [char; 12] = [' ', ',', ';', '|', '~', '!', '#', '^', '(', '<', '?', '@'];

/// The size of the largest text, in bytes. Only the start of a text is shown at all.
const LARGEST: usize = 40 << 10;

struct_of_bytes! {
    /// The values that a policy sees, and the text that it makes of them.
    #[derive(Debug)]
    struct Input {
        values: Vec<String>,
        pieces: Vec<Piece>,
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Piece {
        /// A value in one of its forms.
        Value { value: u8, form: Form },
        /// A line of a value in one of its forms.
        Line { value: u8, line: u8, form: Form },
        /// A value many times, up to where the text is cut.
        Many { value: u8, times: u16 },
        /// Other text.
        Filler { times: u16 },
    }
}

/// Redacts a text that consists of values in their forms, and of text that no value has. What is
/// shown has no four bytes of a value, and no part of a form that holds as much.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let values: Vec<String> = input.values.iter().take(3).map(|it| usable(it)).collect();
    let values = values.iter().map(|it| trimmed(it));
    let values: Vec<&str> = values.filter(|it| is_long(it)).collect();
    let is_in_none = |separator: &char| values.iter().all(|value| !value.contains(*separator));
    let Some(separator) = SEPARATORS.into_iter().find(is_in_none) else {
        return;
    };
    if values.is_empty() {
        return;
    }
    let mut text = Text::new(separator);
    for piece in &input.pieces {
        if text.text.len() < LARGEST {
            text.push(piece, &values);
        }
    }
    let shown = redaction(&values).printable(&text.text);
    text.check(&values, &without_hidden(&shown));
}

fn redaction(values: &[&str]) -> Redaction {
    let setting = |(index, value): (usize, &&str)| VisibleSetting {
        name: SettingName::listed(format!("S{index}")),
        value: VisibleValue::Text(SettingValue::new(*value)),
    };
    let settings: Vec<VisibleSetting> = values.iter().enumerate().map(setting).collect();
    Redaction::of(&settings)
}

/// What is shown, with a bracket for each `[hidden]`, also for one that the end cuts off. No value
/// has a bracket, so nothing is made of the two sides of what is hidden.
fn without_hidden(shown: &str) -> String {
    let replaced = shown.replace(HIDDEN, "[");
    match replaced.rsplit_once('[') {
        Some((start, rest))
            if HIDDEN
                .get(1..)
                .is_some_and(|it| it.starts_with(rest.trim_end_matches('…'))) =>
        {
            format!("{start}[")
        }
        _ => replaced,
    }
}

/// A value without the characters that the redaction itself writes, and of a length that lets many
/// values be tried.
fn usable(value: &str) -> String {
    let own = |c: &char| !['[', ']', '…'].contains(c);
    value.chars().filter(own).take(32).collect()
}

/// A number of repetitions: small ones mostly, because a large text takes milliseconds.
fn count(times: u16) -> usize {
    const LARGE: u16 = 0xfc00;
    let most = match times {
        LARGE.. => LARGEST,
        _ => 16,
    };
    usize::from(times) % most
}

/// Whether a value or a line is long enough to be redacted: what is seen of it has four bytes.
fn is_long(text: &str) -> bool {
    let seen = text.chars().filter(|c| is_seen(*c));
    seen.map(char::len_utf8).sum::<usize>() >= GRAM
}

/// A text without the ends that are not seen, which are not redacted.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c| !is_seen(c))
}

fn is_seen(c: char) -> bool {
    !is_blank(c) && !is_unprintable(c) && !is_soft(c)
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Whether a character has no width, so that a text with it looks like the text without it.
fn is_soft(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

/// A text that a policy made, and the parts of it that may be shown or not.
struct Text {
    text: String,
    separator: char,
    /// Parts of forms that hold enough of a value to give it away.
    telling: Vec<String>,
    /// Parts of forms that hold less, or something else.
    harmless: Vec<String>,
}

impl Text {
    fn new(separator: char) -> Self {
        Self {
            text: separator.to_string(),
            separator,
            telling: Vec::new(),
            harmless: Vec::new(),
        }
    }

    fn push(&mut self, piece: &Piece, values: &[&str]) {
        let pick = |index: &u8| {
            let index = usize::from(*index) % values.len();
            *values.get(index).expect("in bounds")
        };
        match piece {
            Piece::Value { value, form } => self.push_form(pick(value), form),
            Piece::Line { value, line, form } => {
                let lines = pick(value).split(['\n', '\r']).map(str::trim);
                let is_whole = |line: &&str| is_long(line) && trimmed(line) == *line;
                let lines: Vec<&str> = lines.filter(is_whole).collect();
                let index = usize::from(*line) % lines.len().max(1);
                if let Some(line) = lines.get(index) {
                    self.push_form(line, form);
                }
            }
            Piece::Many { value, times } => {
                let value = pick(value);
                let most = LARGEST / value.len();
                self.text.push_str(&value.repeat(count(*times).min(most)));
            }
            Piece::Filler { times } => {
                let filler = self.separator.to_string();
                self.text.push_str(&filler.repeat(count(*times)));
            }
        }
        self.text.push(self.separator);
    }

    fn push_form(&mut self, value: &str, form: &Form) {
        let Encoded {
            text,
            telling,
            harmless,
        } = form.encode(value);
        self.text.push_str(&text);
        self.telling.push(telling);
        self.harmless.extend(harmless);
    }

    /// Checks what is shown of the text.
    fn check(&self, values: &[&str], shown: &str) {
        let harmless: HashSet<&[u8]> = self
            .harmless
            .iter()
            .flat_map(|part| part.as_bytes().windows(GRAM))
            .collect();
        let visible: HashSet<&[u8]> = shown.as_bytes().windows(GRAM).collect();
        for value in values {
            for gram in value.as_bytes().windows(GRAM) {
                let is_blank = gram
                    .iter()
                    .all(|it| !it.is_ascii_graphic() && it.is_ascii());
                assert!(
                    is_blank || harmless.contains(gram) || !visible.contains(gram),
                    "{:?} of {value:?} is in {shown:?}, made of {:?}",
                    String::from_utf8_lossy(gram),
                    self.text
                );
            }
        }
        for form in &self.telling {
            assert!(
                !shown.contains(form.as_str()),
                "{form:?} is in {shown:?}, made of {:?}",
                self.text
            );
        }
    }
}
