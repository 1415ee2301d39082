//! The documented operations that a calibration calls.

use super::redact::Shape;

/// The app that a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum App {
    Site,
    /// The first slot.
    Slot,
}

/// An operation of Resource Manager or Key Vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ReadSite,
    ListSettings,
    SettingStatuses,
    ListConnectionStrings,
    ConnectionStringStatuses,
    ListSlots,
    Refresh,
    SetSecret { enabled: bool },
}

impl App {
    /// The word for the app in sentences.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Slot => "slot",
        }
    }

    fn placeholder(self) -> &'static str {
        match self {
            Self::Site => "{site}",
            Self::Slot => "{site}/slots/{slot}",
        }
    }
}

impl Operation {
    /// The path after the id of the app.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::ReadSite | Self::SetSecret { .. } => "",
            Self::ListSettings => "/config/appsettings/list",
            Self::SettingStatuses => "/config/configreferences/appsettings",
            Self::ListConnectionStrings => "/config/connectionstrings/list",
            Self::ConnectionStringStatuses => "/config/configreferences/connectionstrings",
            Self::ListSlots => "/slots",
            Self::Refresh => "/config/configreferences/appsettings/refresh",
        }
    }

    /// The method.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::ListSettings | Self::ListConnectionStrings | Self::Refresh => "POST",
            Self::SetSecret { .. } => "PUT",
            _ => "GET",
        }
    }

    /// The call with placeholders: `POST {site}/config/appsettings/list`.
    pub(super) fn label(self, app: App) -> String {
        let method = self.method();
        match self {
            Self::SetSecret { enabled: true } => {
                format!("{method} {{vault}}/secrets/{{secret}} (enabled)")
            }
            Self::SetSecret { enabled: false } => {
                format!("{method} {{vault}}/secrets/{{secret}} (disabled)")
            }
            _ => format!("{method} {}{}", app.placeholder(), self.path()),
        }
    }

    /// The action of a role that the call needs. That of a refresh is not documented; keyrelay's
    /// own role has the wildcard.
    pub(super) fn right(self, app: App) -> &'static str {
        match (self, app) {
            (Self::ReadSite, _) => "Microsoft.Web/sites/Read",
            (Self::ListSlots, _) => "Microsoft.Web/sites/slots/Read",
            (Self::ListSettings | Self::ListConnectionStrings, App::Site) => {
                "Microsoft.Web/sites/config/list/Action"
            }
            (Self::ListSettings | Self::ListConnectionStrings, App::Slot) => {
                "Microsoft.Web/sites/slots/config/list/Action"
            }
            (Self::SettingStatuses | Self::ConnectionStringStatuses, App::Site) => {
                "Microsoft.Web/sites/config/Read"
            }
            (Self::SettingStatuses | Self::ConnectionStringStatuses, App::Slot) => {
                "Microsoft.Web/sites/slots/config/Read"
            }
            (Self::Refresh, App::Site) => "Microsoft.Web/sites/config/*/action",
            (Self::Refresh, App::Slot) => "Microsoft.Web/sites/slots/config/*/action",
            (Self::SetSecret { .. }, _) => {
                "Microsoft.KeyVault/vaults/secrets/setSecret/action (role `Key Vault Secrets Officer`)"
            }
        }
    }

    /// The form of the response.
    pub(super) fn shape(self, app: App) -> Shape {
        match self {
            Self::ReadSite => Shape::Resource(app.noun()),
            Self::ListSettings => Shape::Settings,
            Self::ListConnectionStrings => Shape::ConnectionStrings,
            Self::SettingStatuses | Self::Refresh => Shape::Resource("setting"),
            Self::ConnectionStringStatuses => Shape::Resource("connection-string"),
            Self::ListSlots => Shape::Resource("slot"),
            Self::SetSecret { .. } => Shape::Resource("secret"),
        }
    }
}
