//! The trait of a policy.

use crate::bindings::keyrelay::policy::types::{App, Decision, Event, Occurrence, View};

/// A policy, which decides what happens to one app because of one event. Export it with
/// [`export!`](crate::export!).
pub trait Policy {
    /// The occurrences that the policy decides about. Events of other occurrences are skipped.
    const OCCURRENCES: &'static [Occurrence] = &[Occurrence::NewVersionCreated];

    /// The part of an app that the policy sees.
    const VIEW: View = View::References;

    /// Decides what happens to `app` because of `event`. Equal arguments must give equal decisions.
    ///
    /// The error is a sentence for the operator. The rotation fails with it, and nothing changes.
    fn decide(event: Event, app: App) -> Result<Decision, String>;

    /// Checks a rotation's parameters when keyrelay starts. The error is a sentence that names the
    /// parameter and the fix. The default accepts all parameters.
    fn check_parameters(parameters: &[(String, String)]) -> Result<(), String> {
        let _ = parameters;
        Ok(())
    }
}
