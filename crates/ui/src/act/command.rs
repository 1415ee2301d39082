//! The actions, as addresses and forms name them.

use jiff::Timestamp;
use keyrelay_model::{AppId, NameError, SecretName, VaultHost};
use keyrelay_records::RunId;
use keyrelay_records::actions::ActionKind;
use keyrelay_records::filters::app_name;

use crate::failure::{PageFailure, parse_run_id};
use crate::links::Links;
use crate::query::{Pairs, to_query};

/// An action with its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// The event of a run is handled again.
    Resubmit { run: RunId },
    /// The events of the runs that failed since a time are handled again.
    ResubmitFailed { since: Timestamp },
    /// A secret is held.
    Hold {
        vault: VaultHost,
        secret: SecretName,
    },
    /// A held secret is resumed.
    Resume {
        vault: VaultHost,
        secret: SecretName,
    },
    /// An app is verified as soon as possible.
    VerifyNow { app: AppId },
}

impl Act {
    /// The action with this name, whose object is in a query or a form.
    pub(crate) fn parse(name: &str, pairs: &Pairs) -> Result<Self, PageFailure> {
        let invalid = |error: NameError| PageFailure::invalid(error.to_string());
        let secret = || {
            let vault = pairs.one("vault").parse().map_err(invalid)?;
            Ok::<_, PageFailure>((vault, pairs.one("secret").parse().map_err(invalid)?))
        };
        match name {
            "resubmit" => Ok(Self::Resubmit {
                run: parse_run_id(pairs.one("id"))?,
            }),
            "resubmit-failed" => {
                let since = pairs.one("since").parse();
                let since =
                    since.map_err(|error: jiff::Error| PageFailure::invalid(error.to_string()))?;
                Ok(Self::ResubmitFailed { since })
            }
            "hold" => secret().map(|(vault, secret)| Self::Hold { vault, secret }),
            "resume" => secret().map(|(vault, secret)| Self::Resume { vault, secret }),
            "verify-now" => {
                let app = pairs.one("app").parse();
                let invalid =
                    |error: keyrelay_model::AppIdError| PageFailure::invalid(error.to_string());
                Ok(Self::VerifyNow {
                    app: app.map_err(invalid)?,
                })
            }
            _ => Err(PageFailure::missing("There is no such action.")),
        }
    }

    /// The name in addresses.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Resubmit { .. } => "resubmit",
            Self::ResubmitFailed { .. } => "resubmit-failed",
            Self::Hold { .. } => "hold",
            Self::Resume { .. } => "resume",
            Self::VerifyNow { .. } => "verify-now",
        }
    }

    pub(crate) fn kind(&self) -> ActionKind {
        match self {
            Self::Resubmit { .. } => ActionKind::Resubmit,
            Self::ResubmitFailed { .. } => ActionKind::ResubmitFailed,
            Self::Hold { .. } => ActionKind::Hold,
            Self::Resume { .. } => ActionKind::Resume,
            Self::VerifyNow { .. } => ActionKind::VerifyNow,
        }
    }

    /// The fields that name the object.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Resubmit { run } => vec![("id", run.to_string())],
            Self::ResubmitFailed { since } => vec![("since", since.to_string())],
            Self::Hold { vault, secret } | Self::Resume { vault, secret } => {
                vec![("vault", vault.to_string()), ("secret", secret.to_string())]
            }
            Self::VerifyNow { app } => vec![("app", app.to_string())],
        }
    }

    /// The address of the page that says what will happen.
    pub(crate) fn link(&self, links: &Links) -> String {
        let fields = self.fields();
        let pairs = fields.iter().map(|(name, value)| (*name, value.as_str()));
        links.act(self.name(), &to_query(pairs))
    }

    /// The address of the page that the object is on.
    pub(crate) fn back(&self, links: &Links) -> String {
        match self {
            Self::Resubmit { run } => links.run(run),
            Self::ResubmitFailed { .. } => links.overview(),
            Self::Hold { vault, secret } | Self::Resume { vault, secret } => {
                links.secret(vault.as_str(), secret.as_str())
            }
            Self::VerifyNow { app } => links.app(app),
        }
    }

    pub(crate) fn title(&self) -> String {
        match self {
            Self::Resubmit { run } => format!("Resubmit run {run}"),
            Self::ResubmitFailed { since } => format!("Resubmit all that failed since {since:.0}"),
            Self::Hold { vault, secret } => format!("Hold {}/{secret}", vault.vault()),
            Self::Resume { vault, secret } => format!("Resume {}/{secret}", vault.vault()),
            Self::VerifyNow { app } => format!("Verify {} now", app_name(app)),
        }
    }

    pub(crate) fn button(&self) -> &'static str {
        match self {
            Self::Resubmit { .. } => "Resubmit",
            Self::ResubmitFailed { .. } => "Resubmit all",
            Self::Hold { .. } => "Hold",
            Self::Resume { .. } => "Resume",
            Self::VerifyNow { .. } => "Verify now",
        }
    }

    /// The object, in the record.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Resubmit { run } => run.to_string(),
            Self::ResubmitFailed { since } => format!("since {since:.0}"),
            Self::Hold { vault, secret } | Self::Resume { vault, secret } => {
                format!("{vault}/{secret}")
            }
            Self::VerifyNow { app } => app.to_string(),
        }
    }

    /// Whether the operator has to give a reason.
    pub(crate) fn needs_reason(&self) -> bool {
        matches!(self, Self::Hold { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_read_from_its_own_address() {
        let (vault, secret): (VaultHost, SecretName) = (
            "kv.vault.azure.net".parse().unwrap(),
            "sql".parse().unwrap(),
        );
        let app = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";
        let acts = [
            Act::Resubmit {
                run: "20261123T054539123Z-1f3a9c2d".parse().unwrap(),
            },
            Act::ResubmitFailed {
                since: "2026-11-26T10:00:00Z".parse().unwrap(),
            },
            Act::Hold {
                vault: vault.clone(),
                secret: secret.clone(),
            },
            Act::Resume { vault, secret },
            Act::VerifyNow {
                app: app.parse().unwrap(),
            },
        ];
        for act in acts {
            let link = act.link(&Links::new(""));
            let (path, query) = link.split_once('?').unwrap();
            let name = path.strip_prefix("/act/").unwrap();
            assert_eq!(Act::parse(name, &Pairs::parse(query)), Ok(act));
        }
    }

    #[test]
    fn an_action_without_a_valid_object_is_refused() {
        for (name, query) in [
            ("resubmit", "id=../x"),
            ("resubmit-failed", "since=yesterday"),
            ("hold", "vault=kv&secret=sql"),
            ("resume", "vault=kv.vault.azure.net&secret=%3Cscript%3E"),
            ("verify-now", "app=orders"),
            ("delete", ""),
        ] {
            assert!(Act::parse(name, &Pairs::parse(query)).is_err(), "{name}");
        }
    }
}
