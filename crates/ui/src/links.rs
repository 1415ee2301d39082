//! The addresses of the pages.

use std::sync::Arc;

use keyrelay_model::AppId;
use keyrelay_records::RunId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::assets::Asset;

/// The characters that a segment of a path has as they are.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The addresses of the pages, below the path at which they are mounted.
#[derive(Debug, Clone)]
pub(crate) struct Links(Arc<str>);

impl Links {
    pub(crate) fn new(base: &str) -> Self {
        Self(base.into())
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The path at which the pages are mounted, or the root.
    pub(crate) fn overview(&self) -> String {
        match self.0.is_empty() {
            true => self.at("/"),
            false => self.at(""),
        }
    }

    /// A page with a query, which may be empty.
    fn with_query(&self, path: &str, query: &str) -> String {
        match query.is_empty() {
            true => self.at(path),
            false => self.at(&format!("{path}?{query}")),
        }
    }

    pub(crate) fn fleet(&self, query: &str) -> String {
        self.with_query("/fleet", query)
    }

    pub(crate) fn runs(&self, query: &str) -> String {
        self.with_query("/runs", query)
    }

    pub(crate) fn run(&self, id: &RunId) -> String {
        self.at(&format!("/runs/{id}"))
    }

    pub(crate) fn secret(&self, vault: &str, secret: &str) -> String {
        self.at(&format!("/secrets/{}/{}", segment(vault), segment(secret)))
    }

    pub(crate) fn app(&self, app: &AppId) -> String {
        let slot = app.slot().map(|slot| format!("/slots/{}", segment(slot)));
        self.at(&format!(
            "/apps/{}/{}/{}{}",
            segment(app.subscription()),
            segment(app.resource_group()),
            segment(app.site()),
            slot.unwrap_or_default()
        ))
    }

    pub(crate) fn health(&self) -> String {
        self.at("/health")
    }

    pub(crate) fn policies(&self) -> String {
        self.at("/policies")
    }

    pub(crate) fn policy(&self, name: &str) -> String {
        self.at(&format!("/policies/{}", segment(name)))
    }

    pub(crate) fn actions(&self) -> String {
        self.at("/actions")
    }

    pub(crate) fn action(&self, id: &RunId) -> String {
        self.at(&format!("/actions/{id}"))
    }

    /// The confirmation of an action, and the address that its form is sent to.
    pub(crate) fn act(&self, action: &str, query: &str) -> String {
        self.with_query(&format!("/act/{action}"), query)
    }

    pub(crate) fn export(&self, query: &str) -> String {
        self.with_query("/evidence", query)
    }

    pub(crate) fn asset(&self, asset: &Asset) -> String {
        self.at(&format!("/assets/{}?v={}", asset.name, asset.digest()))
    }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_below_the_base() {
        let links = Links::new("/ui");
        assert_eq!(
            links.secret("kv.vault.azure.net", "<a>/b?"),
            "/ui/secrets/kv.vault.azure.net/%3Ca%3E%2Fb%3F"
        );
        let id = "/subscriptions/s/resourceGroups/g (x)/providers/Microsoft.Web/sites/orders";
        let id = id.replace(" (x)", "(x)");
        let app = format!("{id}/slots/staging").parse().unwrap();
        assert_eq!(links.app(&app), "/ui/apps/s/g%28x%29/orders/slots/staging");
        assert_eq!(links.overview(), "/ui");
        assert_eq!(Links::new("").overview(), "/");
        assert_eq!(Links::new("").fleet("q=a"), "/fleet?q=a");
    }
}
