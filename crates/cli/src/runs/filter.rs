//! The filters of runs.

use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use keyrelay_config::SecretPattern;
use keyrelay_model::{AppId, SecretName};
use keyrelay_records::summary::{Summary, VerdictWord};

use super::lines::cause_word;

/// The options that filter runs. A run has to match every option that is given, and any of its
/// values.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Filters (each may be repeated, or take several values with commas between them)"
)]
pub(super) struct Filter {
    /// Runs with this verdict, of any app or of the run itself
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(VERDICTS).map(|word| word.replace('-', " ")))]
    verdict: Vec<String>,
    /// Runs about this secret: a name, or a pattern like `sql-*`
    #[arg(long, value_delimiter = ',', value_name = "NAME|PATTERN")]
    secret: Vec<SecretPattern>,
    /// Runs about objects of this vault: its name, or its host
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    vault: Vec<String>,
    /// Runs that handled this app: a site (with its slots), site/slot, or the app's id. `--verdict`
    /// then applies to it
    #[arg(long, value_delimiter = ',', value_name = "NAME|ID")]
    app: Vec<AppName>,
    /// Runs with this cause
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(CAUSES))]
    cause: Vec<String>,
}

/// An app as the user names it.
#[derive(Debug, Clone)]
enum AppName {
    Id(AppId),
    /// A site or a slot. Without a slot, the site and all its slots.
    Name {
        site: String,
        slot: Option<String>,
    },
}

const VERDICTS: [&str; 8] = [
    "verified",
    "refreshed",
    "pending",
    "rolled-back",
    "refused",
    "failed",
    "unchanged",
    "monitored",
];

const CAUSES: [&str; 5] = ["event", "pending", "drift", "reminder", "resubmit"];

impl Filter {
    pub(super) fn matches(&self, run: &Summary) -> bool {
        let of_vault = |host: &str, wanted: &str| {
            let name = host.split('.').next().unwrap_or_default();
            host.eq_ignore_ascii_case(wanted) || name.eq_ignore_ascii_case(wanted)
        };
        let event = run.event.as_ref();
        any(&self.cause, |wanted| cause_word(run.cause) == wanted)
            && any(&self.vault, |wanted| {
                event.is_some_and(|event| of_vault(&event.vault_host, wanted))
            })
            && any(&self.secret, |wanted| {
                let secret = event.and_then(|event| event.name.parse::<SecretName>().ok());
                secret.is_some_and(|secret| wanted.matches(&secret))
            })
            && self.matches_verdict(run)
    }

    fn matches_verdict(&self, run: &Summary) -> bool {
        let wanted = |verdict: VerdictWord| any(&self.verdict, |it| verdict.as_str() == it);
        if self.app.is_empty() {
            return run.verdicts().any(wanted);
        }
        let of_app = |app: &AppId| self.app.iter().any(|wanted| wanted.is_of(app));
        let mut rotations = run.rotations.iter();
        rotations.any(|(app, verdict)| of_app(app) && wanted(*verdict))
    }
}

/// Whether any value matches. An option that is not given matches everything.
fn any<T>(values: &[T], is_it: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(is_it)
}

impl AppName {
    fn is_of(&self, app: &AppId) -> bool {
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

#[cfg(test)]
mod tests {
    use keyrelay_model::Verdict;

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

    #[test]
    fn every_word_for_a_verdict_is_one() {
        for word in VERDICTS {
            assert!(
                Verdict::from_word(&word.replace('-', " "), false).is_some(),
                "{word}"
            );
        }
    }
}
