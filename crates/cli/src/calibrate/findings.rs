//! The findings of a calibration, as data and as sentences.

use std::time::Duration;

use serde_json::{Value, json};

use super::calibration::Observations;
use super::journal::MissingRight;
use super::measurement::{Measurement, Pace, Version, seconds};
use super::operation::App;

/// The time that keyrelay expects a refresh to take: the default of `azure_refresh_ms`.
pub(super) const EXPECTED: Duration = Duration::from_secs(15);

/// The findings. `None` means that a calibration does not tell.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) names_active_version: Option<bool>,
    pub(super) refresh: Option<Duration>,
    pub(super) first_refresh_took: Option<bool>,
    pub(super) second_refresh_took: Option<bool>,
    pub(super) rows_have_ids: Option<bool>,
    pub(super) slot_refreshed: Option<bool>,
    pub(super) slot_follows_site: Option<bool>,
    pub(super) connection_string_refreshed: Option<bool>,
    pub(super) missing_rights: Vec<MissingRight>,
}

impl Findings {
    pub(super) fn new(seen: &Observations, missing_rights: Vec<MissingRight>) -> Self {
        let of = |app| seen.measurements.iter().filter(move |it| it.app == app);
        let site: Vec<&Measurement> = by_weight(of(App::Site));
        let first: Vec<bool> = site.iter().filter_map(|it| it.took(0)).collect();
        Self {
            names_active_version: seen.names_active_version,
            refresh: site.iter().find_map(|it| Some(it.success()?.1)),
            // A refresh that may not take is one that does not.
            first_refresh_took: (!first.is_empty()).then(|| first.iter().all(|took| *took)),
            second_refresh_took: site.iter().find_map(|it| it.took(1)),
            rows_have_ids: seen.rows_have_ids,
            slot_refreshed: by_weight(of(App::Slot)).iter().find_map(|it| {
                let shown = it.success().map(|_| true);
                shown.or_else(|| it.took(0))
            }),
            slot_follows_site: seen.slot_follows_site,
            connection_string_refreshed: seen.connection_string_refreshed,
            missing_rights,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let missing: Vec<Value> = self
            .missing_rights
            .iter()
            .map(MissingRight::to_json)
            .collect();
        json!({
            "names_active_version": self.names_active_version,
            "refresh_seconds": self.refresh.map(seconds),
            "first_refresh_took": self.first_refresh_took,
            "second_refresh_took": self.second_refresh_took,
            "rows_have_ids": self.rows_have_ids,
            "slot_refreshed": self.slot_refreshed,
            "slot_follows_site": self.slot_follows_site,
            "connection_string_refreshed": self.connection_string_refreshed,
            "missing_rights": missing,
        })
    }

    /// The findings as sentences, without names.
    pub(super) fn sentences(&self, Pace { every, limit }: Pace) -> Vec<String> {
        let mut sentences = Vec::new();
        sentences.push(choose(
            self.names_active_version,
            "Azure names the active version of references without a version.",
            "Azure does not name the active version of references without a version.",
            "Whether Azure names the active version is not known: no reference without a version was resolved.",
        ));
        sentences.push(match self.refresh {
            Some(refresh) => format!(
                "A refresh took {} s, or up to {} s less: statuses were read every {} s.",
                seconds(refresh),
                seconds(every),
                seconds(every)
            ),
            None => "The time that a refresh takes is not known.".to_owned(),
        });
        sentences.extend(self.repetition(limit));
        sentences.push(choose(
            self.rows_have_ids,
            "Rows in lists of references have ids.",
            "Rows in lists of references have no ids.",
            "Whether rows have ids is not known: no list of references has a row.",
        ));
        sentences.push(choose(
            self.slot_refreshed,
            "A refresh of a slot resolves the references of the slot.",
            "A refresh of a slot did not change the references of the slot.",
            "The effect of a refresh of a slot is not known.",
        ));
        if let Some(follows) = self.slot_follows_site {
            sentences.push(choose(
                Some(follows),
                "A refresh of the site covers its slot.",
                "A refresh of the site does not cover its slot.",
                "",
            ));
        }
        sentences.push(choose(
            self.connection_string_refreshed,
            "A refresh of the app settings covers references in connection strings.",
            "A refresh of the app settings does not cover references in connection strings.",
            "Whether a refresh of the app settings covers connection strings is not known.",
        ));
        sentences.extend(self.missing_rights.iter().map(MissingRight::sentence));
        sentences
    }

    /// The sentence about the first and the second refresh.
    fn repetition(&self, limit: Duration) -> Option<String> {
        let limit = limit.as_secs_f64();
        Some(match (self.first_refresh_took, self.second_refresh_took) {
            (Some(true), _) => "The first refresh after a new version took.".to_owned(),
            (Some(false), Some(true)) => format!(
                "The first refresh after a new version had no effect within {limit} s; the second one took. \
                 If a refresh may need longer than that, repeat the calibration with a larger `--for`."
            ),
            (Some(false), _) => {
                format!("No refresh after a new version had an effect within {limit} s.")
            }
            (None, _) => return None,
        })
    }
}

impl MissingRight {
    fn sentence(&self) -> String {
        let code = self.code.as_deref().unwrap_or("no code");
        let named = match &self.named_by_azure {
            Some(action) => format!("; Azure names {action}"),
            None => String::new(),
        };
        format!(
            "Missing right: {} for {} ({} {code}{named}).",
            self.right, self.call, self.status
        )
    }
}

/// Measurements in the order in which they count: a row that is resolved again says most.
fn by_weight<'a>(measurements: impl Iterator<Item = &'a Measurement>) -> Vec<&'a Measurement> {
    let mut sorted: Vec<&Measurement> = measurements.collect();
    sorted.sort_by_key(|it| match it.version {
        Version::Enabled => 0,
        Version::Disabled => 1,
        Version::Unchanged => 2,
    });
    sorted
}

fn choose(finding: Option<bool>, yes: &str, no: &str, unknown: &str) -> String {
    let chosen = match finding {
        Some(true) => yes,
        Some(false) => no,
        None => unknown,
    };
    chosen.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::measurement::RefreshEffect;
    use super::*;

    fn measured(version: Version, must_show: bool, refreshes: &[RefreshEffect]) -> Measurement {
        Measurement {
            app: App::Site,
            version,
            must_show,
            refreshes: refreshes.to_vec(),
        }
    }

    #[track_caller]
    fn check(
        measurements: Vec<Measurement>,
        seconds: Option<u64>,
        first: Option<bool>,
        second: Option<bool>,
    ) {
        let seen = Observations {
            measurements,
            ..Observations::default()
        };
        let findings = Findings::new(&seen, Vec::new());
        assert_eq!(findings.refresh, seconds.map(Duration::from_secs));
        assert_eq!(
            (findings.first_refresh_took, findings.second_refresh_took),
            (first, second)
        );
    }

    #[test]
    fn the_resolved_row_counts_more_than_the_broken_one() {
        let (took, none) = (
            |seconds| RefreshEffect::Took(Duration::from_secs(seconds)),
            RefreshEffect::None,
        );
        let broken = measured(Version::Disabled, false, &[took(9)]);
        let resolved = measured(Version::Enabled, true, &[none, took(15)]);
        check(vec![broken, resolved], Some(15), Some(false), Some(true));
        let broken = measured(Version::Disabled, false, &[none, took(9)]);
        let resolved = measured(Version::Enabled, true, &[took(15)]);
        check(vec![broken, resolved], Some(15), Some(false), Some(true));
    }

    #[test]
    fn the_absence_of_a_change_counts_only_if_it_must_show() {
        let none = RefreshEffect::None;
        let unchanged = measured(Version::Unchanged, false, &[none, none]);
        check(vec![unchanged], None, None, None);
        let resolved = measured(Version::Enabled, true, &[none, none]);
        check(vec![resolved], None, Some(false), Some(false));
        let refused = measured(Version::Enabled, true, &[RefreshEffect::Unknown]);
        check(vec![refused], None, None, None);
    }
}
