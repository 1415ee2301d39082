//! The log of the Functions host and of keyrelay-host in it, in short lines for people: the time in
//! UTC, what happened, to which app and secret, and the message.

use anstyle::{AnsiColor, Style};
use keyrelay_local_azure::functions_host::{LogLevel, LogLine, LogSource};
use keyrelay_model::AppId;
use keyrelay_records::filters::app_name;
use serde_json::{Map, Value};

use crate::out;

/// The width of the column with the verdict, or with another word for what happened.
const WORD_WIDTH: usize = 11;

/// The fields of a line without a verdict that are shown, each with its label.
const FIELDS: [(&str, &str); 5] = [
    ("policy.name", "policy"),
    ("mode", "mode"),
    ("store", "store"),
    ("policies", "policies"),
    ("quarantined", "quarantined"),
];

/// The timer, which is called once a minute: only the end of a call is shown.
const TIMER: &str = "Reconcile";

/// What happened, in a few words.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    word: String,
    /// How the word looks.
    level: Level,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Plain,
    Good,
    Waiting,
    Bad,
}

/// The line for people, with styles. `None` if it is empty, or if other lines say the same.
pub(crate) fn readable(line: &LogLine) -> Option<String> {
    let Summary { word, level, text } = summary(line)?;
    let text = out::printable(&text);
    let text = text.trim_end();
    if text.is_empty() {
        return None;
    }
    let style = match level {
        Level::Plain => Style::new(),
        Level::Good => AnsiColor::Green.on_default(),
        Level::Waiting => AnsiColor::Yellow.on_default(),
        Level::Bad => AnsiColor::Red.on_default(),
    };
    let time = line.time.strftime("%H:%M:%S");
    let instance = match line.instance {
        None | Some(0) => String::new(),
        Some(instance) => format!(" (instance {instance})"),
    };
    let word = out::printable(&word);
    Some(format!(
        "{time}  {style}{word:WORD_WIDTH$}{style:#} {text}{instance}"
    ))
}

fn summary(line: &LogLine) -> Option<Summary> {
    match &line.source {
        LogSource::Host => of_host(line),
        // The `Logs` of a response repeat what keyrelay-host has written to its console.
        LogSource::Function(_) => None,
        LogSource::Console => Some(match serde_json::from_str(&line.text) {
            Ok(Value::Object(fields)) => of_keyrelay(&fields),
            _ => plain(line),
        }),
    }
}

/// A line of keyrelay-host: one JSON object.
fn of_keyrelay(fields: &Map<String, Value>) -> Summary {
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let message = text("message").unwrap_or_default();
    let subject = subject(text("app.id"), text("secret.name"));
    if let Some(verdict) = text("verdict") {
        let evidence = text("evidence").map(|evidence| format!(" ({evidence})"));
        return Summary {
            word: verdict.to_owned(),
            level: level_of(verdict),
            text: format!("{subject}{message}{}", evidence.unwrap_or_default()),
        };
    }
    let level = text("level").unwrap_or_default();
    let shown = FIELDS.iter().filter_map(|(field, label)| {
        let value = fields.get(*field)?;
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("{label}: {value}"))
    });
    let shown: Vec<String> = shown.collect();
    let shown = match shown.is_empty() {
        true => String::new(),
        false => format!(" ({})", shown.join("; ")),
    };
    Summary {
        word: level.to_ascii_lowercase(),
        level: match level {
            "ERROR" => Level::Bad,
            "WARN" => Level::Waiting,
            _ => Level::Plain,
        },
        text: format!("{subject}{message}{shown}"),
    }
}

/// The app and the secret before a message: `orders sql-password: `.
fn subject(app: Option<&str>, secret: Option<&str>) -> String {
    // An id that cannot be parsed is shown as it is.
    let app = app.map(|id| match id.parse::<AppId>() {
        Ok(app) => app_name(&app),
        Err(_) => id.to_owned(),
    });
    match (app, secret) {
        (Some(app), Some(secret)) => format!("{app} {secret}: "),
        (Some(name), None) => format!("{name}: "),
        (None, Some(name)) => format!("{name}: "),
        (None, None) => String::new(),
    }
}

fn level_of(verdict: &str) -> Level {
    match verdict {
        "verified" | "refreshed" => Level::Good,
        "pending" | "notice" => Level::Waiting,
        "failed" | "refused" | "rolled back" => Level::Bad,
        _ => Level::Plain,
    }
}

/// A line of the Functions host: the beginning or the end of a call, or another event.
fn of_host(line: &LogLine) -> Option<Summary> {
    let text = line.text.as_str();
    let function = |verb: &str| {
        let rest = text.strip_prefix(verb)?.strip_prefix(" 'Functions.")?;
        rest.split_once('\'')
    };
    if let Some((name, _)) = function("Executing") {
        return (name != TIMER).then(|| Summary {
            word: "called".to_owned(),
            level: Level::Plain,
            text: name.to_owned(),
        });
    }
    let Some((name, rest)) = function("Executed") else {
        return Some(plain(line));
    };
    let duration = rest.split_once("Duration=");
    let Some((time, reason)) = duration.and_then(|(_, rest)| rest.split_once(')')) else {
        return Some(plain(line));
    };
    let (word, level) = match line.level {
        LogLevel::Information => ("done", Level::Plain),
        LogLevel::Warning | LogLevel::Error => ("failed", Level::Bad),
    };
    Some(Summary {
        word: word.to_owned(),
        level,
        text: format!("{name} in {time}{reason}"),
    })
}

/// A line as it is, with the word for its severity.
fn plain(line: &LogLine) -> Summary {
    let (word, level) = match line.level {
        LogLevel::Information => ("info", Level::Plain),
        LogLevel::Warning => ("warn", Level::Waiting),
        LogLevel::Error => ("error", Level::Bad),
    };
    Summary {
        word: word.to_owned(),
        level,
        text: line.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(level: LogLevel, source: LogSource, text: &str) -> Option<String> {
        let line = LogLine {
            time: "2026-11-26T16:52:41.530Z".parse().unwrap(),
            level,
            source,
            invocation_id: Some("1931d3b9".to_owned()),
            instance: Some(0),
            text: text.to_owned(),
        };
        readable(&line).map(|text| anstream::adapter::strip_str(&text).to_string())
    }

    fn console(fields: &Value) -> String {
        line(
            LogLevel::Information,
            LogSource::Console,
            &fields.to_string(),
        )
        .unwrap()
    }

    #[test]
    fn a_verdict_is_shown_with_its_app_and_secret() {
        let text = console(&json!({
            "level": "INFO", "message": "`SQL` is resolved", "verdict": "verified",
            "evidence": "active version", "secret.name": "sql", "event.id": "hidden",
            "app.id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders/slots/new",
        }));
        assert_eq!(
            text,
            "16:52:41  verified    orders/new sql: `SQL` is resolved (active version)"
        );
    }

    #[test]
    fn other_lines_of_keyrelay_have_their_level_and_few_fields() {
        let text = console(&json!({
            "level": "ERROR", "message": "policy quarantined: no", "policy.name": "pin",
            "policy.file": "hidden",
        }));
        assert_eq!(
            text,
            "16:52:41  error       policy quarantined: no (policy: pin)"
        );
    }

    #[test]
    fn the_lines_of_the_functions_host_are_short() {
        let host = |level, text| line(level, LogSource::Host, text);
        let (information, error) = (LogLevel::Information, LogLevel::Error);
        assert_eq!(
            host(information, "Executing 'Functions.SecretEvent' (Id=1)").unwrap(),
            "16:52:41  called      SecretEvent"
        );
        assert_eq!(
            host(
                error,
                "Executed 'Functions.SecretEvent' (Failed, Id=1, Duration=12ms): no (really)"
            )
            .unwrap(),
            "16:52:41  failed      SecretEvent in 12ms: no (really)"
        );
        assert_eq!(
            host(information, "Executing 'Functions.Reconcile' (Id=1)"),
            None
        );
        assert_eq!(
            host(
                information,
                "Executed 'Functions.Reconcile' (Succeeded, Id=1, Duration=3ms)"
            )
            .unwrap(),
            "16:52:41  done        Reconcile in 3ms"
        );
        assert_eq!(
            host(error, "The handler is stopped: too many crashes.").unwrap(),
            "16:52:41  error       The handler is stopped: too many crashes."
        );
    }

    #[test]
    fn what_other_lines_say_and_empty_lines_are_left_out() {
        let function = LogSource::Function("SecretEvent".to_owned());
        assert_eq!(line(LogLevel::Information, function, "verified"), None);
        assert_eq!(line(LogLevel::Error, LogSource::Console, " "), None);
    }

    #[test]
    fn text_that_is_no_json_stays_as_it_is_without_control_characters() {
        let text = line(
            LogLevel::Error,
            LogSource::Console,
            "thread 'main'\u{1b}[31m panicked",
        );
        assert_eq!(
            text.unwrap(),
            "16:52:41  error       thread 'main'[31m panicked"
        );
    }
}
