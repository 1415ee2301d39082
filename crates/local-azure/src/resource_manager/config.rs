//! The configuration of an app: settings, connection strings, and the status of their references.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::bodies::{self, RowForm};
use super::refusal::ResourceManagerRefusal;
use super::state::ResourceManagerService;
use crate::apps::{
    ConnectionString, ConnectionStrings, LocalApp, LocalSettings, ReferenceKind, ReferenceRow,
};
use crate::call::ServiceCall;
use crate::fault::Effect;
use crate::hidden::Hidden;
use crate::paging::Keyed;
use crate::response::{self, Response};

/// A connection string in the body of a write.
#[derive(Deserialize)]
struct ConnectionStringBody {
    value: Hidden,
    #[serde(rename = "type")]
    kind: String,
}

impl ResourceManagerService {
    /// Executes an operation on the part of an app's path after `config`.
    pub(super) fn config_operation(
        &self,
        call: &ServiceCall,
        app: &Arc<LocalApp>,
        rest: &[&str],
    ) -> Result<Response, ResourceManagerRefusal> {
        match (&call.method, rest) {
            (&Method::POST, ["appsettings", "list"]) => Ok(self.list_settings(call, app)),
            (&Method::PUT, ["appsettings"]) => self.write_settings(call, app),
            (&Method::POST, ["connectionstrings", "list"]) => Ok(response::ok(
                &bodies::connection_strings(app, &app.connection_strings()),
            )),
            (&Method::PUT, ["connectionstrings"]) => self.write_connection_strings(call, app),
            (method, ["configreferences", collection, rest @ ..]) => {
                let kind = ReferenceKind::of_collection(collection)
                    .ok_or(ResourceManagerRefusal::NoOperation)?;
                match (method, rest) {
                    (&Method::GET, []) => {
                        let rows = self.rows(app, kind, RowForm::Listed);
                        Ok(self.list(call, rows))
                    }
                    (&Method::GET, [name]) => self.reference(app, kind, name),
                    (&Method::POST, ["refresh"]) => {
                        // The response holds all rows, without pages.
                        let before = self.rows(app, kind, RowForm::Refreshed);
                        let before = self.list_of(call, before, usize::MAX);
                        self.apps.refresh(app);
                        Ok(before)
                    }
                    _ => Err(ResourceManagerRefusal::NoOperation),
                }
            }
            _ => Err(ResourceManagerRefusal::NoOperation),
        }
    }

    /// The references of one kind, each with its name.
    fn rows(&self, app: &LocalApp, kind: ReferenceKind, form: RowForm) -> Vec<Keyed> {
        references(app, kind)
            .map(|row| (row.setting.clone(), bodies::reference(self, app, row, form)))
            .collect()
    }

    fn reference(
        &self,
        app: &LocalApp,
        kind: ReferenceKind,
        name: &str,
    ) -> Result<Response, ResourceManagerRefusal> {
        let row = references(app, kind)
            .find(|row| row.setting.eq_ignore_ascii_case(name))
            .ok_or_else(|| ResourceManagerRefusal::NoReference {
                kind,
                name: name.to_owned(),
            })?;
        Ok(response::ok(&bodies::reference(
            self,
            app,
            row,
            RowForm::Single,
        )))
    }

    fn list_settings(&self, call: &ServiceCall, app: &Arc<LocalApp>) -> Response {
        let response = response::ok(&bodies::settings(app, &app.settings()));
        for effect in &call.effects {
            if let Effect::Interfere { setting, value } = effect {
                self.apps.write(app, |settings| {
                    settings.insert(setting.clone(), value.clone());
                });
            }
        }
        response
    }

    fn write_settings(
        &self,
        call: &ServiceCall,
        app: &Arc<LocalApp>,
    ) -> Result<Response, ResourceManagerRefusal> {
        let text = |(name, value): (String, Value)| match value {
            Value::String(text) => Ok((name, Hidden::from(text))),
            Value::Bool(_) | Value::Number(_) => Ok((name, Hidden::from(value.to_string()))),
            _ => Err(ResourceManagerRefusal::InvalidProperties),
        };
        let wanted: LocalSettings = properties(call)?
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()?;
        let response = response::ok(&bodies::settings(app, &wanted));
        if !is_lost(call) {
            self.apps.write(app, |settings| *settings = wanted);
        }
        Ok(response)
    }

    fn write_connection_strings(
        &self,
        call: &ServiceCall,
        app: &Arc<LocalApp>,
    ) -> Result<Response, ResourceManagerRefusal> {
        let typed = |(name, value): (String, Value)| {
            let body: ConnectionStringBody = serde_json::from_value(value).ok()?;
            Some((name, ConnectionString::of_type(&body.kind, body.value)?))
        };
        let wanted: ConnectionStrings = properties(call)?
            .into_iter()
            .map(typed)
            .collect::<Option<_>>()
            .ok_or(ResourceManagerRefusal::InvalidProperties)?;
        let response = response::ok(&bodies::connection_strings(app, &wanted));
        if !is_lost(call) {
            self.apps
                .write_connection_strings(app, |current| *current = wanted);
        }
        Ok(response)
    }
}

/// The references of one kind.
fn references(app: &LocalApp, kind: ReferenceKind) -> impl Iterator<Item = ReferenceRow> {
    app.references()
        .into_iter()
        .filter(move |row| row.kind == kind)
}

/// The properties in the body of a write.
fn properties(call: &ServiceCall) -> Result<BTreeMap<String, Value>, ResourceManagerRefusal> {
    let body: Value = call.json().map_err(ResourceManagerRefusal::Unreadable)?;
    let properties = body
        .get("properties")
        .filter(|it| !it.is_null())
        .ok_or(ResourceManagerRefusal::NoProperties)?;
    serde_json::from_value(properties.clone())
        .map_err(|_| ResourceManagerRefusal::InvalidProperties)
}

/// Whether a fault loses this write.
fn is_lost(call: &ServiceCall) -> bool {
    call.effects
        .iter()
        .any(|effect| matches!(effect, Effect::LoseWrite))
}
