//! The parts that pages share: times, names, badges, and the links between the parts of a list.

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_records::filters::app_name;
use keyrelay_records::fleet::State;
use maud::{Markup, html};

use crate::links::Links;

/// The number of characters of a version or a digest that tell it from others.
const SHORT_DIGITS: usize = 12;

/// A time, to the second.
pub(crate) fn time(at: Timestamp) -> Markup {
    let text = at.strftime("%Y-%m-%d %H:%M:%S");
    html! { time datetime=(format!("{at:.0}")) { (text) } }
}

/// A time, or a dash.
pub(crate) fn time_or(at: Option<Timestamp>) -> Markup {
    html! { @match at { Some(at) => (time(at)), None => "–" } }
}

/// The distance from now: `3 h ago`, `in 12 d`.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let size = match seconds.unsigned_abs() {
        short @ ..120 => format!("{short} s"),
        minutes @ ..7_200 => format!("{} min", minutes / 60),
        hours @ ..172_800 => format!("{} h", hours / 3_600),
        days => format!("{} d", days / 86_400),
    };
    match seconds {
        0.. => format!("{size} ago"),
        _ => format!("in {size}"),
    }
}

/// A duration with its unit.
pub(crate) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        short @ ..10_000 => format!("{short} ms"),
        long => format!("{}.{} s", long / 1_000, long % 1_000 / 100),
    }
}

/// A version or a digest, whose end is left to its title.
pub(crate) fn short(text: &str) -> Markup {
    let start: String = text.chars().take(SHORT_DIGITS).collect();
    html! {
        @if start.len() == text.len() { code { (text) } }
        @else { code title=(text) { (start) "…" } }
    }
}

/// A text that is not a sentence: an id, a setting.
pub(crate) fn code(text: &str) -> Markup {
    html! { code.break { (text) } }
}

/// The lines of a text, each on its own.
pub(crate) fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Markup {
    html! { pre { @for line in lines { (line) "\n" } } }
}

/// A field of a description: a name and a value.
pub(crate) fn field(name: &str, value: impl maud::Render) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// A word with the colour of its meaning. The word says it, too.
pub(crate) fn badge(kind: &str, text: &str) -> Markup {
    html! { span.{"badge " (kind)} { (text) } }
}

/// The class of a state of the fleet.
pub(crate) fn class_of(state: State) -> &'static str {
    match state {
        State::Broken => "bad",
        State::Behind | State::SetBack | State::Expiring => "warn",
        State::Unproven | State::NotWatched => "dim",
        State::Fresh => "good",
    }
}

/// The badge of a state of the fleet.
pub(crate) fn state_badge(state: State) -> Markup {
    badge(class_of(state), state.as_str())
}

/// The badge of a verdict, or of a verdict with its evidence.
pub(crate) fn verdict_badge(headline: &str) -> Markup {
    let word = headline.split(" (").next().unwrap_or(headline);
    let kind = match word {
        "failed" | "refused" | "rolled back" => "bad",
        "pending" | "notice" => "warn",
        "verified" => "good",
        "refreshed" => "fair",
        _ => "dim",
    };
    badge(kind, headline)
}

/// A link to the page of an app, by its short name.
pub(crate) fn app_link(links: &Links, app: &AppId) -> Markup {
    html! { a href=(links.app(app)) title=(app) { (app_name(app)) } }
}

/// A link to the page of a secret: `vault/secret`.
pub(crate) fn secret_link(links: &Links, vault: &str, secret: &str) -> Markup {
    let name = vault.split('.').next().unwrap_or_default();
    html! { a href=(links.secret(vault, secret)) title=(vault) { (name) "/" (secret) } }
}

/// A table that scrolls in a region of its own.
pub(crate) fn table(caption: &str, columns: &[&str], rows: impl maud::Render) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// A remark about a page.
pub(crate) fn notice(kind: &str, text: impl maud::Render) -> Markup {
    html! { p.{"notice " (kind)} { (text) } }
}

/// The text in place of a list of nothing.
pub(crate) fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// The part of a list that a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pager {
    /// From 1.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// The range of the items.
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

impl Pager {
    /// The page of a list, or the nearest one that there is.
    pub(crate) fn new(page: usize, items: usize, size: usize) -> Self {
        let pages = items.div_ceil(size.max(1)).max(1);
        let page = page.clamp(1, pages);
        let begin = (page - 1) * size;
        Self {
            page,
            pages,
            begin,
            end: (begin + size).min(items),
        }
    }

    /// The items of the page.
    pub(crate) fn of<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        items.get(self.begin..self.end).unwrap_or_default()
    }
}

/// The links to the other pages of a list. `link` makes the one to a page.
pub(crate) fn pager(pager: Pager, link: impl Fn(usize) -> String) -> Markup {
    html! {
        @if pager.pages > 1 {
            nav.pager aria-label="Parts of the list" {
                @if pager.page > 1 { a href=(link(pager.page - 1)) rel="prev" { "Previous" } }
                span { "Page " (pager.page) " of " (pager.pages) }
                @if pager.page < pager.pages { a href=(link(pager.page + 1)) rel="next" { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_from_now_is_short() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let check = |seconds: i64, expected: &str| {
            let at = Timestamp::from_second(now.as_second() - seconds).unwrap();
            assert_eq!(ago(at, now), expected);
        };
        check(0, "0 s ago");
        check(119, "119 s ago");
        check(120, "2 min ago");
        check(7_200, "2 h ago");
        check(200_000, "2 d ago");
        check(-90_000, "in 25 h");
    }

    #[test]
    fn a_page_that_there_is_not_is_the_nearest_one() {
        let items: Vec<usize> = (0..25).collect();
        assert_eq!(Pager::new(3, 25, 10).of(&items), [20, 21, 22, 23, 24]);
        assert_eq!(Pager::new(9, 25, 10), Pager::new(3, 25, 10));
        assert_eq!(Pager::new(0, 25, 10).page, 1);
        assert_eq!(Pager::new(1, 0, 10).of(&items), [] as [usize; 0]);
    }

    #[test]
    fn foreign_text_is_escaped() {
        let shown = badge("bad", "<script>alert(1)</script>").into_string();
        assert_eq!(
            shown,
            "<span class=\"badge bad\">&lt;script&gt;alert(1)&lt;/script&gt;</span>"
        );
    }
}
