//! Exports a policy from its crate.

use crate::bindings::keyrelay::policy::types::About;
use crate::policy::Policy;

/// Exports a [`Policy`]. Use it once in a crate of type `cdylib`.
///
/// The policy's name, version and summary are those of the crate: `name`, `version` and
/// `description` in `Cargo.toml`.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::bindings::Guest for Exported {
                fn describe() -> $crate::About {
                    $crate::about::<$policy>(
                        env!("CARGO_PKG_NAME"),
                        env!("CARGO_PKG_VERSION"),
                        env!("CARGO_PKG_DESCRIPTION"),
                    )
                }

                fn check_parameters(parameters: Vec<(String, String)>) -> Result<(), String> {
                    <$policy as $crate::Policy>::check_parameters(&parameters)
                }

                fn decide(
                    event: $crate::Event,
                    app: $crate::App,
                ) -> Result<$crate::Decision, String> {
                    <$policy as $crate::Policy>::decide(event, app)
                }
            }

    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
    };
}

/// The description that [`export!`] returns for the policy `P`.
#[doc(hidden)]
pub fn about<P: Policy>(name: &str, version: &str, summary: &str) -> About {
    About {
        name: name.to_owned(),
        version: version.to_owned(),
        summary: summary.to_owned(),
        occurrences: P::OCCURRENCES.to_vec(),
        view: P::VIEW,
    }
}
