//! What a policy is, in Rust.

use crate::{App, Decision, Event, Occurrence, View};

/// A policy: decides what happens to one app because of one event. Export it with [`export!`](crate::export!).
pub trait Policy {
    /// What the policy wants to be asked about. Events of other occurrences are skipped.
    const OCCURRENCES: &'static [Occurrence] = &[Occurrence::NewVersionCreated];

    /// How much of an app the policy looks at.
    const VIEW: View = View::References;

    /// Decides. The same arguments must give the same decision. An error is a sentence for the operator; the rotation
    /// fails with it, and nothing changes.
    fn decide(event: Event, app: App) -> Result<Decision, String>;

    /// Checks a rotation's parameters when keyrelay starts. An error is a sentence that names the parameter and the fix.
    /// Unless overridden, all parameters are fine.
    fn check_parameters(parameters: &[(String, String)]) -> Result<(), String> {
        let _ = parameters;
        Ok(())
    }
}
