//! Captures a policy's output: limited in size, and labelled with its stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use keyrelay_model::log_line;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::redaction::{self, Redaction};

/// The bytes that a policy may print in one call: the limit of `wasi:io` for a blocking write.
const CHUNK: usize = 4096;

/// The captured output of one instance. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output(Arc<Mutex<Printed>>);

#[derive(Debug)]
struct Printed {
    bytes_left: usize,
    is_full: bool,
    /// The raw output of each stream.
    texts: [Vec<u8>; 2],
    /// The stream of each line that ended, in the order of their ends.
    ends: Vec<Stream>,
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
            texts: Default::default(),
            ends: Vec::new(),
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

    /// Takes all lines, redacted, each with its label.
    pub(crate) fn take_lines(&self, redaction: &Redaction) -> Vec<String> {
        let mut printed = self.lock();
        let ends = std::mem::take(&mut printed.ends);
        let is_cut = printed.is_full;
        let text = |raw: Vec<u8>| {
            let raw = String::from_utf8_lossy(&raw);
            // A value may have several lines, so the lines are split only now.
            match is_cut {
                true => redaction.redact_start(&raw),
                false => redaction.redact(&raw),
            }
        };
        let [stdout, stderr] = std::mem::take(&mut printed.texts).map(text);
        let (mut stdout, mut stderr) = (stdout.split('\n'), stderr.split('\n'));
        let open = [Stream::Stdout, Stream::Stderr];
        let lines = ends.into_iter().chain(open).filter_map(|stream| {
            let line = match stream {
                Stream::Stdout => stdout.next(),
                Stream::Stderr => stderr.next(),
            };
            let line = log_line(line?);
            // Blank lines say nothing, and a flood of them would take far more memory than its
            // bytes.
            (!line.trim().is_empty()).then(|| format!("{}{line}", stream.label()))
        });
        lines.collect()
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
        let [stdout, stderr] = &mut self.texts;
        match stream {
            Stream::Stdout => stdout.extend_from_slice(kept),
            Stream::Stderr => stderr.extend_from_slice(kept),
        }
        let ends = kept.iter().filter(|byte| **byte == b'\n');
        self.ends.extend(ends.map(|_| stream));
        !self.is_full
    }
}

/// The policy's standard error as one text, from its redacted lines. Languages print the reason of
/// a panic or an exception there.
pub(crate) fn stderr_text(lines: &[String]) -> Option<String> {
    let parts: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix(Stream::Stderr.label()))
        .collect();
    (!parts.is_empty()).then(|| redaction::truncated(&parts.join(" ")))
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

    fn take_lines(output: &Output) -> Vec<String> {
        output.take_lines(&Redaction::none())
    }

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
            take_lines(&output),
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
        assert_eq!(take_lines(&output), ["stdout: four"]);
    }

    #[test]
    fn control_characters_and_broken_characters_do_not_reach_the_log() {
        let output = Output::new(100);
        output.lock().print(Stream::Stdout, b"a\x1b[31mb\r\n\xff\n");
        assert_eq!(take_lines(&output), ["stdout: a [31mb", "stdout: \u{fffd}"]);
    }
}
