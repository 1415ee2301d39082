//! Captures a policy's output: limited in size, and labelled with its stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use keyrelay_model::log_line;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// The length at which a policy's text is truncated in a message, in characters. A text for an
/// operator is a sentence or two.
const TEXT_LENGTH: usize = 1_000;
/// The bytes that a policy may print in one call: the limit of `wasi:io` for a blocking write.
const CHUNK: usize = 4096;

/// The captured output of one instance. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output(Arc<Mutex<Printed>>);

#[derive(Debug)]
struct Printed {
    bytes_left: usize,
    is_full: bool,
    lines: Vec<String>,
    /// The incomplete last line of each stream.
    open: [Vec<u8>; 2],
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn label(self) -> &'static str {
        match self {
            Self::Stdout => "stdout: ",
            Self::Stderr => "stderr: ",
        }
    }
}

impl Output {
    pub(crate) fn new(limit: usize) -> Self {
        let printed = Printed {
            bytes_left: limit,
            is_full: false,
            lines: Vec::new(),
            open: Default::default(),
        };
        Self(Arc::new(Mutex::new(printed)))
    }

    pub(crate) fn stdout(&self) -> impl StdoutStream + use<> {
        Printer {
            output: self.clone(),
            stream: Stream::Stdout,
        }
    }

    pub(crate) fn stderr(&self) -> impl StdoutStream + use<> {
        Printer {
            output: self.clone(),
            stream: Stream::Stderr,
        }
    }

    /// Whether the policy exceeded the limit.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().is_full
    }

    /// Takes all lines, each with its label.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        let mut printed = self.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            printed.end_line(stream);
        }
        std::mem::take(&mut printed.lines)
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Printed {
    /// Keeps the bytes that fit. Returns false if some did not.
    fn print(&mut self, stream: Stream, bytes: &[u8]) -> bool {
        let kept = bytes.get(..self.bytes_left).unwrap_or(bytes);
        self.bytes_left -= kept.len();
        self.is_full |= kept.len() < bytes.len();
        let mut parts = kept.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.open_line(stream).extend_from_slice(part);
            if parts.peek().is_some() {
                self.end_line(stream);
            }
        }
        !self.is_full
    }

    fn open_line(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [stdout, stderr] = &mut self.open;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(self.open_line(stream));
        let line = log_line(&String::from_utf8_lossy(&line));
        // Blank lines say nothing, and a flood of them would take far more memory than its bytes.
        if !line.trim().is_empty() {
            self.lines.push(format!("{}{line}", stream.label()));
        }
    }
}

/// The policy's standard error as one text. Languages print the reason of a panic or an exception
/// there.
pub(crate) fn stderr_text(lines: &[String]) -> Option<String> {
    let parts: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix(Stream::Stderr.label()))
        .collect();
    (!parts.is_empty()).then(|| printable(&parts.join(" ")))
}

/// Makes a policy's text safe to log: replaces control characters by spaces, truncates it at
/// [`TEXT_LENGTH`].
pub(crate) fn printable(text: &str) -> String {
    let mut start: String = text.chars().take(TEXT_LENGTH).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    log_line(&start)
}

struct Printer {
    output: Output,
    stream: Stream,
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Called only by versions of WASI that are not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self {
            output: self.output.clone(),
            stream: self.stream,
        })
    }
}

#[async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.output.lock().print(self.stream, &bytes) {
            Ok(())
        } else {
            Err(StreamError::trap("limit exceeded: log"))
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(output: &Output, stream: Stream, text: &str) -> bool {
        output.lock().print(stream, text.as_bytes())
    }

    #[test]
    fn lines_are_put_together_and_labelled() {
        let output = Output::new(100);
        assert!(print(&output, Stream::Stdout, "one\ntw"));
        assert!(print(&output, Stream::Stderr, "oops"));
        assert!(print(&output, Stream::Stdout, "o\n\n\nthree"));
        assert_eq!(
            output.take_lines(),
            [
                "stdout: one",
                "stdout: two",
                "stdout: three",
                "stderr: oops"
            ]
        );
    }

    #[test]
    fn what_fits_is_kept() {
        let output = Output::new(5);
        assert!(print(&output, Stream::Stdout, "four\n"));
        assert!(!output.is_full());
        assert!(!print(&output, Stream::Stdout, "more"));
        assert!(output.is_full());
        assert_eq!(output.take_lines(), ["stdout: four"]);
    }

    #[test]
    fn control_characters_and_broken_characters_do_not_reach_the_log() {
        let output = Output::new(100);
        output.lock().print(Stream::Stdout, b"a\x1b[31mb\r\n\xff\n");
        assert_eq!(output.take_lines(), ["stdout: a [31mb", "stdout: \u{fffd}"]);
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = printable(&"é".repeat(2 * TEXT_LENGTH));
        assert_eq!(text.chars().count(), TEXT_LENGTH + 1);
        assert!(text.ends_with("é…"));
        assert_eq!(printable("a\nb"), "a b");
    }
}
