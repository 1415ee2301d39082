//! The Resource Manager id of an app.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The id of a site or slot. Keeps its spelling; compares without case.
#[derive(Clone)]
pub struct AppId {
    subscription: String,
    resource_group: String,
    site: String,
    slot: Option<String>,
}

/// An error from parsing the id of a site or slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the id of an app: expected an id like \
     `/subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.Web/sites/<name>[/slots/<slot>]`"
)]
pub struct AppIdError(String);

impl AppId {
    /// The subscription's id.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// The resource group's name.
    pub fn resource_group(&self) -> &str {
        &self.resource_group
    }

    /// The site's name.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The slot's name. `None` for the production slot.
    pub fn slot(&self) -> Option<&str> {
        self.slot.as_deref()
    }

    /// The site that a slot belongs to; the site itself otherwise.
    #[must_use]
    pub fn production(&self) -> Self {
        Self {
            slot: None,
            ..self.clone()
        }
    }

    fn folded(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }
}

impl FromStr for AppId {
    type Err = AppIdError;

    fn from_str(text: &str) -> Result<Self, AppIdError> {
        let error = || AppIdError(text.chars().take(300).collect());
        let parts: Vec<&str> = text
            .strip_prefix('/')
            .ok_or_else(error)?
            .split('/')
            .collect();
        let (words, slot) = match parts.as_slice() {
            [words @ .., slots, slot]
                if words.len() == 8 && slots.eq_ignore_ascii_case("slots") =>
            {
                (words, Some(*slot))
            }
            words => (words, None),
        };
        let [
            subscriptions,
            subscription,
            groups,
            group,
            providers,
            web,
            sites,
            site,
        ] = words
        else {
            return Err(error());
        };
        let fixed = [
            (subscriptions, "subscriptions"),
            (groups, "resourceGroups"),
            (providers, "providers"),
            (web, "Microsoft.Web"),
            (sites, "sites"),
        ];
        let named = [Some(*subscription), Some(*group), Some(*site), slot];
        if fixed
            .iter()
            .any(|(word, wanted)| !word.eq_ignore_ascii_case(wanted))
            || !named.into_iter().flatten().all(is_segment)
        {
            return Err(error());
        }
        Ok(Self {
            subscription: (*subscription).to_owned(),
            resource_group: (*group).to_owned(),
            site: (*site).to_owned(),
            slot: slot.map(str::to_owned),
        })
    }
}

/// Whether a part of an id consists of the characters that Azure allows in names of groups, sites
/// and slots. Such a part needs no escaping in a URL.
fn is_segment(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    (1..=90).contains(&text.chars().count())
        && text.chars().all(allowed)
        && text.chars().any(|c| c != '.')
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Web/sites/{}",
            self.subscription, self.resource_group, self.site
        )?;
        match &self.slot {
            Some(slot) => write!(f, "/slots/{slot}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppId({self})")
    }
}

impl PartialEq for AppId {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for AppId {}

impl Hash for AppId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl PartialOrd for AppId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AppId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SITE: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Web/sites/orders";

    #[test]
    fn a_site_and_a_slot_are_parsed_and_printed() {
        let site: AppId = SITE.parse().unwrap();
        assert_eq!(site.subscription(), "00000000-0000-0000-0000-000000000001");
        assert_eq!(
            (site.resource_group(), site.site(), site.slot()),
            ("rg", "orders", None)
        );
        assert_eq!(site.to_string(), SITE);
        let slot: AppId = format!("{SITE}/slots/staging").parse().unwrap();
        assert_eq!((slot.site(), slot.slot()), ("orders", Some("staging")));
        assert_ne!(site, slot);
        assert_eq!(slot.production(), site);
        assert_eq!(site.production(), site);
    }

    #[test]
    fn ids_compare_without_case() {
        let site: AppId = SITE.parse().unwrap();
        assert_eq!(site, SITE.to_uppercase().parse().unwrap());
    }

    #[test]
    fn ids_are_found_and_sorted_without_case() {
        let of = |site: &str| SITE.replace("orders", site).parse::<AppId>().unwrap();
        let found = HashSet::from([of("alpha")]);
        assert!(found.contains(&of("ALPHA")) && !found.contains(&of("beta")));
        assert!(of("alpha") < of("BETA") && of("ALPHA") < of("beta"));
    }

    #[test]
    fn a_malformed_id_is_refused() {
        let broken = [
            "",
            "orders",
            "/subscriptions/x",
            &SITE[1..],
            &format!("{SITE}/"),
            &format!("{SITE}/slots"),
            &format!("{SITE}/slots/"),
            &format!("{SITE}/slots/a/b"),
            &format!("{SITE}/functions/f"),
            &SITE.replace("orders", ".."),
            &SITE.replace("orders", "a?b"),
            &SITE.replace("Microsoft.Web", "Microsoft.Storage"),
        ];
        for text in broken {
            assert!(text.parse::<AppId>().is_err(), "{text}");
        }
    }
}
