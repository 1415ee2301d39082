//! The table of the fleet: 80 columns, worst first, a line for each app and secret.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use keyrelay_records::filters::app_name;
use keyrelay_records::fleet::{Fleet, State, Use};

use crate::out::{self, cell};

/// The width of the columns of the app and of the secret.
const NAME: usize = 18;

/// The width of the column of the state.
const STATE: usize = 11;

/// The number of characters of a version that are shown.
const VERSION: usize = 8;

/// The width of a line.
const LINE: usize = 80;

/// Prints the counts and the first apps.
pub(super) fn print(fleet: &Fleet, limit: usize, now: Timestamp) {
    if fleet.uses.is_empty() {
        return;
    }
    let uses = fleet.uses.chunk_by(is_same_app);
    let lines: Vec<&[Use]> = uses.collect();
    let counts = State::ALL.into_iter().filter_map(|state| {
        let count = lines.iter().filter(|uses| state_of(uses) == state).count();
        let is_told = count > 0 || matches!(state, State::Broken | State::Behind);
        is_told.then(|| format!("{count} {}", state.as_str()))
    });
    let counts: Vec<String> = counts.collect();
    out::line(&counts.join(", "));
    out::line(&format!(
        "{:STATE$} {:>5} {:NAME$} {:NAME$} {:VERSION$} EVIDENCE",
        "STATE", "SINCE", "APP", "SECRET", "VERSION"
    ));
    let limit = if limit == 0 { lines.len() } else { limit };
    for uses in lines.iter().take(limit) {
        print_app(uses, now);
    }
    if lines.len() > limit {
        let more = lines.len() - limit;
        out::line(&format!("{more} more: `--limit 0` shows all"));
    }
}

fn is_same_app(a: &Use, b: &Use) -> bool {
    (&a.app, &a.vault, &a.secret) == (&b.app, &b.vault, &b.secret)
}

fn state_of(uses: &[Use]) -> State {
    uses.first().map_or(State::Fresh, |first| first.state)
}

fn print_app(uses: &[Use], now: Timestamp) {
    let Some(first) = uses.first() else { return };
    let since = first.behind_since.map(|since| age(since, now));
    let current = first.current.as_ref();
    let version = current.map_or("-", |current| &current.version);
    let evidence = current.and_then(|current| current.evidence.as_deref());
    let style = style(first.state);
    out::styled_line(&format!(
        "{style}{:STATE$}{style:#} {:>5} {} {} {} {}",
        first.state.as_str(),
        since.unwrap_or_default(),
        cell(&app_name(&first.app), NAME),
        cell(&secret_name(first), NAME),
        cell(&version.chars().take(VERSION).collect::<String>(), VERSION),
        out::printable(evidence.unwrap_or("-")),
    ));
    if first.reason.is_empty() {
        return;
    }
    let settings = uses.iter().map(|it| it.reference.setting.as_str());
    let settings: Vec<&str> = settings.collect();
    let text = format!("{}: {}", settings.join(", "), first.reason);
    out::line(&format!("  {}", cell(&text, LINE - 2).trim_end()));
}

/// The vault and the secret: `contoso-kv/sql`.
fn secret_name(it: &Use) -> String {
    let vault = it.vault.split('.').next().unwrap_or_default();
    format!("{vault}/{}", it.secret)
}

fn style(state: State) -> Style {
    let color = match state {
        State::Broken => AnsiColor::Red,
        State::Behind | State::SetBack | State::Expiring => AnsiColor::Yellow,
        State::Unproven | State::NotWatched => AnsiColor::Cyan,
        State::Fresh => AnsiColor::Green,
    };
    color.on_default()
}

/// An age in its largest unit: `40s`, `5m`, `3h`, `12d`.
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_largest_unit() {
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let ages = [40, 59 * 60, 3 * 3_600, 13 * 86_400]
            .map(|seconds| age(now - jiff::SignedDuration::from_secs(seconds), now));
        assert_eq!(ages, ["40s", "59m", "3h", "13d"]);
    }
}
