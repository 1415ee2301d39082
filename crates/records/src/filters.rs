//! Filters of runs and of the fleet: names of apps and vaults, and times, as users write them.

mod runs;
mod since;
mod uses;

use std::str::FromStr;

use keyrelay_model::AppId;

pub use runs::RunFilter;
pub use since::since;
pub use uses::UseFilter;

/// An app as the user names it.
#[derive(Debug, Clone)]
pub enum AppName {
    /// The app with this id.
    Id(AppId),
    /// A site or a slot. Without a slot, the site and all its slots.
    Name {
        /// The name of the site.
        site: String,
        /// The name of the slot.
        slot: Option<String>,
    },
}

impl AppName {
    /// Whether it names this app.
    pub fn is_of(&self, app: &AppId) -> bool {
        match self {
            Self::Id(id) => id == app,
            Self::Name { site, slot } => {
                let slot_fits = match slot {
                    Some(slot) => app.slot().is_some_and(|it| it.eq_ignore_ascii_case(slot)),
                    None => true,
                };
                slot_fits && app.site().eq_ignore_ascii_case(site)
            }
        }
    }
}

impl FromStr for AppName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return text
                .parse()
                .map(Self::Id)
                .map_err(|error: keyrelay_model::AppIdError| error.to_string());
        }
        let (site, slot) = match text.split_once('/') {
            Some((site, slot)) => (site, Some(slot)),
            None => (text, None),
        };
        if site.is_empty() || slot.is_some_and(|slot| slot.is_empty() || slot.contains('/')) {
            return Err(
                "write the name of a site, site/slot, or the whole id of an app".to_owned(),
            );
        }
        Ok(Self::Name {
            site: site.to_owned(),
            slot: slot.map(str::to_owned),
        })
    }
}

/// Whether any value matches. An option that is not given matches everything.
pub fn any<T>(values: &[T], is_it: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(is_it)
}

/// Whether a vault has this host, or this name.
pub fn is_vault(host: &str, wanted: &str) -> bool {
    let name = host.split('.').next().unwrap_or_default();
    host.eq_ignore_ascii_case(wanted) || name.eq_ignore_ascii_case(wanted)
}

/// The short name of an app: `orders`, or `orders/staging`.
pub fn app_name(app: &AppId) -> String {
    let slot = app
        .slot()
        .map(|slot| format!("/{slot}"))
        .unwrap_or_default();
    format!("{}{slot}", app.site())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

    #[track_caller]
    fn check(name: &str, site: bool, slot: bool) {
        let name: AppName = name.parse().unwrap();
        assert_eq!(name.is_of(&ORDERS.parse().unwrap()), site);
        assert_eq!(
            name.is_of(&format!("{ORDERS}/slots/staging").parse().unwrap()),
            slot
        );
    }

    #[test]
    fn an_app_is_named_by_its_site_its_slot_or_its_id() {
        check("ORDERS", true, true);
        check("orders/Staging", false, true);
        check("orders/other", false, false);
        check("order", false, false);
        check(&ORDERS.to_uppercase(), true, false);
        check(&format!("{ORDERS}/slots/staging"), false, true);
    }

    #[test]
    fn what_names_no_app_is_refused() {
        for text in ["", "/", "/orders", "orders/", "/staging", "a/b/c"] {
            assert!(text.parse::<AppName>().is_err(), "{text}");
        }
    }
}
