//! The telemetry of the demonstration: the app that sends it, and the two sinks that receive it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyrelay_local_azure::AppLine;
use tokio::sync::mpsc::UnboundedReceiver;

/// The app's program: sends a line with the instrumentation key and the time, once a second.
///
/// A shell script, because an app is a process of its own that gets its settings as environment
/// variables when it starts.
pub(super) const APP: &str = "while :; do \
    echo \"$APPINSIGHTS_INSTRUMENTATIONKEY $(date -u +%Y-%m-%dT%H:%M:%SZ)\"; sleep 1; done";

/// A sink with the lines that it has received.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    pub(super) name: &'static str,
    /// The instrumentation key that routes lines to this sink, as in Application Insights.
    pub(super) key: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            key: uuid::Uuid::new_v4().to_string(),
            lines: Arc::default(),
        }
    }

    /// The number of received lines.
    pub(super) fn count(&self) -> usize {
        self.lines().len()
    }

    /// The latest line.
    pub(super) fn latest(&self) -> Option<String> {
        self.lines().last().cloned()
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers each line of the app to the sink with its key, until the app is gone. Lines with an
/// unknown key are dropped.
pub(super) async fn deliver(mut sent: UnboundedReceiver<AppLine>, sinks: [Sink; 2]) {
    while let Some(line) = sent.recv().await {
        let Some((key, message)) = line.text.split_once(' ') else {
            continue;
        };
        if let Some(sink) = sinks.iter().find(|sink| sink.key == key) {
            sink.lines().push(message.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_line_goes_to_the_sink_with_its_key() {
        let sinks = [Sink::new("first"), Sink::new("second")];
        let (sender, receiver) = mpsc::unbounded_channel();
        let texts = [
            format!("{} one", sinks[1].key),
            "unknown two".to_owned(),
            "three".to_owned(),
        ];
        for text in texts {
            let line = AppLine {
                app: "app".to_owned(),
                process: 1,
                text,
            };
            sender.send(line).unwrap();
        }
        drop(sender);
        deliver(receiver, sinks.clone()).await;
        assert_eq!(sinks[0].count(), 0);
        assert_eq!(
            (sinks[1].count(), sinks[1].latest()),
            (1, Some("one".to_owned()))
        );
    }
}
