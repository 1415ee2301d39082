//! The readings of a text: as it is, and decoded. Each knows the part of the text behind its bytes.

use std::ops::Range;

/// A text after decoding.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    bytes: Vec<u8>,
    /// The part of the text that each byte stands for. Its borders are those of characters.
    sources: Vec<Range<usize>>,
}

impl Reading {
    /// Reads a text as it is.
    pub(super) fn of(text: &str) -> Self {
        let mut reading = Self::default();
        for (at, c) in text.char_indices() {
            reading.push_char(c, at..at + c.len_utf8());
        }
        reading
    }

    /// Every reading of a text, in the spelling that the forms have.
    pub(super) fn all(text: &str) -> impl Iterator<Item = Self> {
        let raw = Self::of(text);
        let joined = raw.has(b'\n').then(|| raw.without(b"\r\n"));
        let unescaped = raw.has(b'\\').then(|| raw.unescaped());
        let twice = unescaped.as_ref().filter(|it| it.has(b'\\'));
        let twice = twice.map(Self::unescaped);
        let of_percent = |origin: &Self| origin.has(b'%').then(|| origin.percent_decoded());
        let decoded = of_percent(&raw);
        let decoded_twice = decoded.as_ref().and_then(of_percent);
        let decoded_unescaped = decoded.as_ref().filter(|it| it.has(b'\\'));
        let decoded_unescaped = decoded_unescaped.map(Self::unescaped);
        let unescaped_decoded = unescaped.as_ref().and_then(of_percent);
        let form = raw.has(b'+').then(|| raw.with_spaces().percent_decoded());
        let decoded = [
            joined,
            unescaped,
            twice,
            decoded,
            decoded_twice,
            decoded_unescaped,
            unescaped_decoded,
            form,
        ];
        std::iter::once(raw)
            .chain(decoded.into_iter().flatten())
            .map(|reading| reading.canonical())
    }

    /// The decoded bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part of the text that some of the bytes stand for.
    pub(super) fn source(&self, bytes: Range<usize>) -> Range<usize> {
        match self.sources.get(bytes).unwrap_or_default() {
            [] => 0..0,
            [only] => only.clone(),
            [first, .., last] => first.start..last.end,
        }
    }

    /// With one space for each run of white space and control characters, and without characters
    /// that are not seen, so that none of them tells two spellings of a value apart.
    pub(super) fn canonical(&self) -> Self {
        let mut canonical = Self::default();
        let mut at = 0;
        for chunk in self.bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                let source = self.source(at..at + c.len_utf8());
                at += c.len_utf8();
                if c.is_whitespace() || c.is_control() {
                    canonical.push_space(source);
                } else if !is_invisible(c) {
                    canonical.push_char(c, source);
                }
            }
            for byte in chunk.invalid() {
                canonical.push(*byte, self.source(at..at + 1));
                at += 1;
            }
        }
        canonical
    }

    /// With the escapes of JSON, of Rust's `{:?}` and of similar languages resolved.
    fn unescaped(&self) -> Self {
        let mut unescaped = Self::default();
        let mut at = 0;
        while let Some(byte) = self.bytes.get(at) {
            let escape = (*byte == b'\\').then(|| escape(self.bytes.get(at + 1..)?));
            let (c, length) = match escape.flatten() {
                Some((c, length)) => (c, length + 1),
                None => {
                    unescaped.push(*byte, self.source(at..at + 1));
                    at += 1;
                    continue;
                }
            };
            let source = self.source(at..at + length);
            match c {
                Escaped::Char(c) => unescaped.push_char(c, source),
                Escaped::Byte(byte) => unescaped.push(byte, source),
            }
            at += length;
        }
        unescaped
    }

    fn percent_decoded(&self) -> Self {
        let mut decoded = Self::default();
        let mut at = 0;
        while let Some(byte) = self.bytes.get(at) {
            let digits = self.bytes.get(at + 1..at + 3);
            let number = digits.filter(|_| *byte == b'%').and_then(hex);
            let (byte, length) = match number.and_then(|number| u8::try_from(number).ok()) {
                Some(byte) => (byte, 3),
                None => (*byte, 1),
            };
            decoded.push(byte, self.source(at..at + length));
            at += length;
        }
        decoded
    }

    /// With the plus signs of a form as spaces.
    fn with_spaces(&self) -> Self {
        let mut spaced = self.clone();
        for byte in spaced.bytes.iter_mut().filter(|byte| **byte == b'+') {
            *byte = b' ';
        }
        spaced
    }

    fn without(&self, dropped: &[u8]) -> Self {
        let mut rest = Self::default();
        for (byte, source) in self.bytes.iter().zip(&self.sources) {
            if !dropped.contains(byte) {
                rest.push(*byte, source.clone());
            }
        }
        rest
    }

    fn has(&self, byte: u8) -> bool {
        self.bytes.contains(&byte)
    }

    fn push(&mut self, byte: u8, source: Range<usize>) {
        self.bytes.push(byte);
        self.sources.push(source);
    }

    fn push_char(&mut self, c: char, source: Range<usize>) {
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            self.push(byte, source.clone());
        }
    }

    fn push_space(&mut self, source: Range<usize>) {
        match self.sources.last_mut() {
            Some(last) if self.bytes.last() == Some(&b' ') => last.end = source.end,
            _ => self.push(b' ', source),
        }
    }
}

/// A character or a byte that an escape stands for.
enum Escaped {
    Char(char),
    Byte(u8),
}

/// Reads an escape after its backslash. Returns its length too.
fn escape(after: &[u8]) -> Option<(Escaped, usize)> {
    let letter = *after.first()?;
    let number = match letter {
        b'x' => {
            let number = hex(after.get(1..3)?).and_then(|it| u8::try_from(it).ok());
            return number.map(|byte| (Escaped::Byte(byte), 3));
        }
        b'u' if after.get(1) == Some(&b'{') => {
            let digits = after.get(2..)?.iter().take(7);
            let length = digits.take_while(|digit| **digit != b'}').count();
            let number = hex(after.get(2..2 + length)?)?;
            (char::from_u32(number), length + 3)
        }
        b'u' => utf16(after),
        b'n' | b't' | b'r' | b'b' | b'f' | b'v' | b'0' | b'a' | b'e' => (Some(' '), 1),
        // Backslash, quotes and the like. A character beyond ASCII is never escaped this way.
        other if other.is_ascii_punctuation() => (Some(char::from(other)), 1),
        _ => (None, 0),
    };
    Some((Escaped::Char(number.0?), number.1))
}

/// Reads `uXXXX`, or two of them that are one character.
fn utf16(after: &[u8]) -> (Option<char>, usize) {
    let unit = |at: usize| u16::try_from(hex(after.get(at..at + 4)?)?).ok();
    let first = unit(1);
    let second = match after.get(5..7) {
        Some(br"\u") => unit(7),
        _ => None,
    };
    let decoded = |units: &[Option<u16>]| {
        let units: Option<Vec<u16>> = units.iter().copied().collect();
        char::decode_utf16(units?).next()?.ok()
    };
    match decoded(&[first]) {
        Some(c) => (Some(c), 5),
        None => (decoded(&[first, second]), 11),
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(digit)
    })
}

/// Whether a character takes no space, so that a text with it looks like the text without it.
fn is_invisible(c: char) -> bool {
    keyrelay_model::is_unprintable(c)
        || matches!(
            c,
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
        )
}
