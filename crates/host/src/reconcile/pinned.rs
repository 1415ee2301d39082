//! References that are pinned to an older version: missed events are repaired, and decisions of
//! people are not overruled.

use jiff::Timestamp;
use keyrelay_model::{AppId, Event, SecretVersion, Verdict, VersionAttributes, Versions};
use keyrelay_records::app_state::{self, AppState};
use keyrelay_records::{Cause, Outcome, RotationRecord, Run, RunId};
use keyrelay_store::StoreError;

use super::drift::valid_since;
use super::pass::Pass;

/// The cause of a reference that is pinned to an older version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OlderPin {
    /// An event was missed.
    Missed,
    /// It was older when keyrelay was installed, and `adopt` is not set.
    NotAdopted,
    /// It was set back by hand after keyrelay had applied a newer version.
    SetBack(SetBack),
}

/// A version that was set back by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetBack {
    /// The version that the reference is pinned to now.
    pub(super) pinned: SecretVersion,
    applied: String,
    at: Timestamp,
    run: RunId,
}

/// Finds the cause. `first` is the time of the first comparison of this installation.
pub(super) async fn cause_of(
    pass: &Pass<'_>,
    app: &AppId,
    secret: &str,
    pinned: &SecretVersion,
    newest: &VersionAttributes,
    versions: &Versions,
    first: Timestamp,
) -> Result<OlderPin, StoreError> {
    let key = app_state::key(app);
    let state = pass.store.read_json::<AppState>(&key).await?;
    let state = state.map(|(state, _)| state).unwrap_or_default();
    let is_newer = |version: &str| {
        let version = version.parse::<SecretVersion>();
        version.is_ok_and(|version| version != *pinned && !versions.is_at_least(pinned, &version))
    };
    Ok(match state.last_applied(secret) {
        Some((applied, at, run)) if is_newer(applied) => OlderPin::SetBack(SetBack {
            pinned: pinned.clone(),
            applied: applied.to_owned(),
            at,
            run: run.clone(),
        }),
        None if !pass.services.config.adopt && existed_before(newest, first) => {
            OlderPin::NotAdopted
        }
        _ => OlderPin::Missed,
    })
}

/// Whether a version was valid before a moment.
fn existed_before(version: &VersionAttributes, moment: Timestamp) -> bool {
    i64::try_from(valid_since(version)).is_ok_and(|since| since < moment.as_second())
}

/// Records that a version was set back by hand. Nothing is changed.
pub(super) async fn report(
    pass: &Pass<'_>,
    app: &AppId,
    secret: &str,
    event: &Event,
    set_back: &SetBack,
) -> Result<(), StoreError> {
    let SetBack {
        pinned,
        applied,
        at,
        run: applied_by,
    } = set_back;
    let message = format!(
        "reported, not repaired: a reference to {secret} is pinned to version {pinned}, after \
         keyrelay had applied version {applied} at {at}; it was set back by hand. Once the new \
         version can be used, resubmit run {applied_by}"
    );
    let outcome = Outcome::new(Verdict::Unchanged, message);
    tracing::warn!(app.id = %app, "{}", outcome.message);
    let mut run = Run::begin(
        Cause::Drift,
        pass.invocation,
        Some(event),
        pass.services.now(),
    );
    run.instance = Some(pass.services.instance.clone());
    run.rotations = vec![RotationRecord::ended(
        app.clone(),
        outcome,
        std::time::Duration::ZERO,
    )];
    pass.history.keep(&run).await
}
