//! The queries in addresses: read leniently, and written in one order.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use keyrelay_config::SecretPattern;
use keyrelay_records::RunId;
use keyrelay_records::filters::{AppName, RunFilter, UseFilter, since};
use url::form_urlencoded;

use crate::failure::{PageFailure, parse_run_id};

/// The pairs of a query or a form. Of several with one name, all are kept.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The first value of this name, without spaces around it. Empty: there is none.
    pub(crate) fn one(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// All values of this name that are not empty.
    fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(it, _)| it == name);
        let values = found.map(|(_, value)| value.trim().to_owned());
        values.filter(|value| !value.is_empty()).collect()
    }

    /// The runs that a form names.
    pub(crate) fn runs(&self) -> Result<Vec<RunId>, PageFailure> {
        let ids = self.all("run");
        ids.iter().map(|id| parse_run_id(id)).collect()
    }

    /// The number of a page, from 1.
    pub(crate) fn page(&self) -> usize {
        self.one("page").parse().unwrap_or(1)
    }
}

/// Writes pairs as a query, without those that are empty.
pub(crate) fn to_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The query of the fleet.
#[derive(Debug, Default, Clone)]
pub(crate) struct FleetQuery {
    pub(crate) states: Vec<String>,
    pub(crate) vault: String,
    pub(crate) secret: String,
    pub(crate) app: String,
    /// A part of any name.
    pub(crate) search: String,
    pub(crate) page: usize,
}

impl FleetQuery {
    pub(crate) fn parse(pairs: &Pairs) -> Self {
        Self {
            states: pairs.all("state"),
            vault: pairs.one("vault").to_owned(),
            secret: pairs.one("secret").to_owned(),
            app: pairs.one("app").to_owned(),
            search: pairs.one("q").to_owned(),
            page: pairs.page(),
        }
    }

    /// The query of another page of the same list.
    pub(crate) fn of_page(&self, page: usize) -> String {
        let number = match page {
            0 | 1 => String::new(),
            page => page.to_string(),
        };
        let states = self.states.iter().map(|state| ("state", state.as_str()));
        let others = [
            ("vault", self.vault.as_str()),
            ("secret", &self.secret),
            ("app", &self.app),
            ("q", &self.search),
            ("page", &number),
        ];
        to_query(states.chain(others))
    }

    /// The filter. The errors are those of values that name nothing, which match everything.
    pub(crate) fn filter(&self) -> (UseFilter, Vec<String>) {
        let mut errors = Vec::new();
        let filter = UseFilter {
            states: self.states.clone(),
            vaults: given(&self.vault),
            secrets: parsed::<SecretPattern>(&self.secret, &mut errors),
            apps: parsed::<AppName>(&self.app, &mut errors),
        };
        (filter, errors)
    }
}

/// The query of the runs.
#[derive(Debug, Default, Clone)]
pub(crate) struct RunsQuery {
    pub(crate) verdicts: Vec<String>,
    pub(crate) cause: String,
    pub(crate) vault: String,
    pub(crate) secret: String,
    pub(crate) app: String,
    pub(crate) since: String,
    pub(crate) before: Option<RunId>,
    pub(crate) is_live: bool,
}

impl RunsQuery {
    pub(crate) fn parse(pairs: &Pairs) -> Self {
        Self {
            verdicts: pairs.all("verdict"),
            cause: pairs.one("cause").to_owned(),
            vault: pairs.one("vault").to_owned(),
            secret: pairs.one("secret").to_owned(),
            app: pairs.one("app").to_owned(),
            since: pairs.one("since").to_owned(),
            before: pairs.one("before").parse().ok(),
            is_live: pairs.one("live") == "1",
        }
    }

    /// The query as it is.
    pub(crate) fn to_query(&self) -> String {
        let verdicts = self.verdicts.iter().map(|it| ("verdict", it.as_str()));
        let before = self.before.as_ref().map(RunId::as_str).unwrap_or_default();
        let others = [
            ("cause", self.cause.as_str()),
            ("vault", &self.vault),
            ("secret", &self.secret),
            ("app", &self.app),
            ("since", &self.since),
            ("before", before),
            ("live", if self.is_live { "1" } else { "" }),
        ];
        to_query(verdicts.chain(others))
    }

    /// The same query for the runs before this one. None: for the newest.
    pub(crate) fn before(&self, before: Option<&RunId>) -> Self {
        Self {
            before: before.cloned(),
            is_live: false,
            ..self.clone()
        }
    }

    /// The filter and its time. The errors are those of values that name nothing, which match
    /// everything.
    pub(crate) fn filter(&self, now: Timestamp) -> (RunFilter, Option<Timestamp>, Vec<String>) {
        let mut errors = Vec::new();
        let filter = RunFilter {
            verdicts: self.verdicts.clone(),
            secrets: parsed::<SecretPattern>(&self.secret, &mut errors),
            vaults: given(&self.vault),
            apps: parsed::<AppName>(&self.app, &mut errors),
            causes: given(&self.cause),
        };
        let since = match self.since.as_str() {
            "" => None,
            text => match since(text, now) {
                Ok(since) => Some(since),
                Err(error) => {
                    errors.push(error);
                    None
                }
            },
        };
        (filter, since, errors)
    }
}

fn given(text: &str) -> Vec<String> {
    match text {
        "" => Vec::new(),
        text => vec![text.to_owned()],
    }
}

fn parsed<T>(text: &str, errors: &mut Vec<String>) -> Vec<T>
where
    T: FromStr<Err: Display>,
{
    match text.parse() {
        _ if text.is_empty() => Vec::new(),
        Ok(value) => vec![value],
        Err(error) => {
            errors.push(error.to_string());
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_written_as_it_was_read() {
        let text =
            "state=broken&state=behind&vault=kv&secret=sql-*&app=orders%2Fstaging&q=a+b&page=3";
        let query = FleetQuery::parse(&Pairs::parse(text));
        assert_eq!(query.of_page(3), text);
        assert_eq!(query.of_page(1), text.strip_suffix("&page=3").unwrap());
        let (filter, errors) = query.filter();
        assert_eq!((filter.states.len(), errors.len()), (2, 0));
        let text =
            "verdict=rolled+back&cause=event&since=2h&before=20261123T054539123Z-1f3a9c2d&live=1";
        let query = RunsQuery::parse(&Pairs::parse(text));
        assert_eq!(query.to_query(), text);
        assert_eq!(
            query.before(None).to_query(),
            "verdict=rolled+back&cause=event&since=2h"
        );
    }

    #[test]
    fn values_that_name_nothing_are_reported_and_match_everything() {
        let query = "secret=%3Cb%3E&app=%2Fx&since=yesterday&before=x&page=-1";
        let pairs = Pairs::parse(query);
        let (filter, since, errors) = RunsQuery::parse(&pairs).filter(Timestamp::UNIX_EPOCH);
        assert!(filter.secrets.is_empty() && filter.apps.is_empty() && since.is_none());
        assert_eq!(errors.len(), 3);
        assert_eq!(pairs.page(), 1);
        assert_eq!(FleetQuery::parse(&pairs).filter().1.len(), 2);
    }
}
