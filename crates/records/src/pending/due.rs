//! The due time in the key of a pending object: `<folder>/<name>--due-<milliseconds since 1970>.json`.
//! A key without one is due at once.

use jiff::Timestamp;

use crate::run_id::RunId;

const MARK: &str = "--due-";
const END: &str = ".json";

/// The key of a pending object, with its due time. The later one comes later in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueKey {
    key: String,
    due: Timestamp,
}

/// Returns a key. The due time is rounded up to whole milliseconds.
pub(super) fn key(folder: &str, name: &str, due: Option<Timestamp>) -> String {
    match due {
        Some(due) => {
            let fraction = i64::from(due.as_nanosecond() % 1_000_000 > 0);
            format!(
                "{folder}/{name}{MARK}{}{END}",
                due.as_millisecond() + fraction
            )
        }
        None => format!("{folder}/{name}{END}"),
    }
}

impl DueKey {
    pub(super) fn new(key: String) -> Self {
        let milliseconds = key
            .strip_suffix(END)
            .and_then(|key| key.rsplit_once(MARK))
            .and_then(|(_, milliseconds)| milliseconds.parse().ok());
        let due = milliseconds.and_then(|since| Timestamp::from_millisecond(since).ok());
        Self {
            key,
            due: due.unwrap_or(Timestamp::MIN),
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The time from which the object is due.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// The key without the due time. Copies of one object share it.
    pub fn object(&self) -> &str {
        let key = self.key.strip_suffix(END).unwrap_or(&self.key);
        key.rsplit_once(MARK).map_or(key, |(object, _)| object)
    }

    /// The app of pending work, as [`app_key`](super::app_key) writes it. None for other objects.
    pub fn app(&self) -> Option<&str> {
        let (app, _run) = self.object().rsplit_once('/')?;
        app.strip_prefix(super::APPS)?.strip_prefix('/')
    }

    /// The run of pending work. None for other objects.
    pub fn run(&self) -> Option<RunId> {
        self.app()?;
        self.name().parse().ok()
    }

    /// The name in the key, without folder and due time.
    pub(super) fn name(&self) -> &str {
        self.object().rsplit('/').next().unwrap_or_default()
    }
}

impl PartialOrd for DueKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DueKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, &self.key).cmp(&(other.due, &other.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_due_time() {
        let due: Timestamp = "2026-11-25T01:02:03.5000001Z".parse().unwrap();
        let key = key("pending/events", "kv--secret--sql", Some(due));
        let read = DueKey::new(key);
        assert_eq!(read.due(), "2026-11-25T01:02:03.501Z".parse().unwrap());
        assert_eq!(read.name(), "kv--secret--sql");
    }

    #[test]
    fn a_key_without_a_due_time_is_due_at_once() {
        for text in [key("f", "a--b", None), "f/a--due-x.json".to_owned()] {
            assert_eq!(DueKey::new(text).due(), Timestamp::MIN);
        }
        assert_eq!(DueKey::new("f/a--b.json".to_owned()).name(), "a--b");
    }
}
