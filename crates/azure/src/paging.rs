//! Lists in pages.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::call::Call;
use crate::error::AzureError;
use crate::failure::{Failure, NextLinkError};
use crate::transport::{Request, Transport};

/// The link to a page of a list, as Azure wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageLink(String);

/// One page of a list.
pub(crate) struct Page<Item> {
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<PageLink>,
}

impl Transport {
    /// Reads all pages of a list, until the deadline of the call. Rows that cannot be read are
    /// skipped and counted in a warning.
    pub(crate) async fn list<Row, Item>(
        &self,
        mut request: Request<'_>,
        call: &Call,
        read: impl Fn(Row) -> Option<Item>,
    ) -> Result<Vec<Item>, AzureError>
    where
        Row: DeserializeOwned,
    {
        let mut items = Vec::new();
        let mut requested = HashSet::new();
        loop {
            if !requested.insert(request.url.clone()) {
                return Err(request.failed(NextLinkError::Loop.into()));
            }
            let page = self.page(&request, call, &read).await?;
            items.extend(page.items);
            let Some(link) = page.next else {
                return Ok(items);
            };
            request.url = request.follow(&link)?;
        }
    }

    /// Reads one page of a list.
    pub(crate) async fn page<Row, Item>(
        &self,
        request: &Request<'_>,
        call: &Call,
        read: impl Fn(Row) -> Option<Item>,
    ) -> Result<Page<Item>, AzureError>
    where
        Row: DeserializeOwned,
    {
        let body = self.send(request, call).await?;
        let (rows, next) = read_page(&body).map_err(|failure| request.failed(failure))?;
        let all = rows.len();
        let rows = rows.into_iter();
        let items: Vec<Item> = rows
            .filter_map(|row| serde_json::from_value(row).ok().and_then(&read))
            .collect();
        if items.len() < all {
            tracing::warn!(
                azure.operation = %request.operation,
                azure.subject = request.subject,
                rows = all - items.len(),
                "rows of a list cannot be read and are skipped"
            );
        }
        let next = next.map(PageLink);
        if let Some(link) = &next {
            // An error on the page that has the link, and not when it is followed.
            request.follow(link)?;
        }
        Ok(Page { items, next })
    }
}

impl Request<'_> {
    /// The URL of another page of the list. The error says that it leads to another origin, which
    /// must not get the token.
    pub(crate) fn follow(&self, PageLink(link): &PageLink) -> Result<Url, AzureError> {
        follow(&self.url, link).map_err(|error| self.failed(error.into()))
    }
}

/// Reads `{"value": [...], "nextLink": "..."}`. A list that is `null` is empty. A missing list is
/// an error, because it would pass for an empty one.
fn read_page(body: &[u8]) -> Result<(Vec<Value>, Option<String>), Failure> {
    let page: Value = read_json(body)?;
    let no_list = || Failure::Unreadable("it has no list in `value`".to_owned());
    let Value::Object(mut page) = page else {
        return Err(no_list());
    };
    let rows = match page.remove("value") {
        Some(Value::Array(rows)) => rows,
        Some(Value::Null) => Vec::new(),
        _ => return Err(no_list()),
    };
    match page.remove("nextLink") {
        None | Some(Value::Null) => Ok((rows, None)),
        Some(Value::String(link)) => Ok((rows, Some(link).filter(|link| !link.is_empty()))),
        Some(_) => Err(NextLinkError::Elsewhere.into()),
    }
}

/// Reads JSON. The error names the position, never the content.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::Unreadable(format!(
            "invalid JSON in line {line}, column {column} ({:?} error)",
            error.classify()
        ))
    })
}

/// The URL of the next page, if its origin is that of the current one. Resource Manager may write
/// its host in capitals or with `:443`; parsing normalises both.
pub(crate) fn follow(current: &Url, link: &str) -> Result<Url, NextLinkError> {
    match Url::parse(link) {
        Ok(next) if next.origin() == current.origin() => Ok(next),
        _ => Err(NextLinkError::Elsewhere),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(link: &str, followed: bool) {
        let current = Url::parse("https://management.azure.com/subscriptions/s").unwrap();
        assert_eq!(follow(&current, link).is_ok(), followed, "{link}");
    }

    #[test]
    fn a_link_to_the_same_origin_is_followed_however_it_is_spelled() {
        check(
            "https://management.azure.com/subscriptions/s?$skiptoken=a",
            true,
        );
        check(
            "https://Management.Azure.COM/subscriptions/s?$skiptoken=a",
            true,
        );
        check(
            "https://management.azure.com:443/subscriptions/s?$skiptoken=a",
            true,
        );
    }

    #[test]
    fn a_link_elsewhere_is_not_followed() {
        check(
            "https://management.azure.com.example/subscriptions/s",
            false,
        );
        check("https://management.azure.com:8443/subscriptions/s", false);
        check("http://management.azure.com/subscriptions/s", false);
        check("https://management.azure.com@example.org/", false);
        check("/subscriptions/s?$skiptoken=a", false);
        check("file:///etc/passwd", false);
    }
}
