//! Redaction of responses: a list of what is kept, and nothing else.

use serde_json::{Map, Value};

use super::placeholders::Placeholders;
use super::placeholders::REDACTED;

/// The form of a response, which determines the kinds of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A resource, or a list of resources of this kind.
    Resource(&'static str),
    /// Settings: the fields of `properties` are names, and their values are private.
    Settings,
    /// Connection strings: the fields of `properties` are names.
    ConnectionStrings,
}

/// Fields with texts that cannot hold anything private.
const KEPT: [&str; 17] = [
    "availabilityState",
    "code",
    "contentAvailabilityState",
    "extendedCode",
    "identityType",
    "kind",
    "location",
    "provisioningState",
    "publicNetworkAccess",
    "recoveryLevel",
    "runtimeAvailabilityState",
    "sku",
    "source",
    "state",
    "status",
    "type",
    "usageState",
];

/// Fields whose own fields have names that a user chose.
const MAPS: [(&str, &str); 7] = [
    ("appSettings", "setting"),
    ("appSettingsOverrides", "setting"),
    ("azureStorageAccounts", "name"),
    ("connectionStrings", "connection-string"),
    ("headers", "name"),
    ("tags", "tag"),
    ("userAssignedIdentities", "identity"),
];

/// Names that have placeholders, by field.
const NAMES: [(&str, &str); 4] = [
    ("vaultName", "vault"),
    ("secretName", "secret"),
    ("secretVersion", "version"),
    ("activeVersion", "version"),
];

/// Redacts responses.
pub(super) struct Redaction<'a> {
    pub(super) placeholders: &'a mut Placeholders,
    pub(super) vault_suffix: &'a str,
    pub(super) shape: Shape,
}

impl Redaction<'_> {
    /// The part of a response that is kept.
    pub(super) fn body(&mut self, body: &Value) -> Value {
        match (self.shape, body) {
            (Shape::Settings | Shape::ConnectionStrings, Value::Object(fields)) => {
                let (mut kept, mut others) = (Map::new(), fields.clone());
                if let Some(Value::Object(properties)) = others.remove("properties") {
                    kept.insert("properties".to_owned(), self.properties(&properties));
                }
                if let Value::Object(others) = self.fields(&others) {
                    kept.extend(others);
                }
                Value::Object(kept)
            }
            _ => self.value("", body),
        }
    }

    /// The settings or connection strings by the placeholders of their names.
    fn properties(&mut self, properties: &Map<String, Value>) -> Value {
        let mut kept = Map::new();
        for (name, value) in properties {
            let (kind, value) = if self.shape == Shape::Settings {
                ("setting", hidden(value))
            } else {
                ("connection-string", self.value(name, value))
            };
            kept.insert(self.placeholders.of(kind, name), value);
        }
        Value::Object(kept)
    }

    fn value(&mut self, field: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => match MAPS.iter().find(|(map, _)| is(map, field)) {
                Some((_, kind)) => self.map(kind, fields),
                None => self.fields(fields),
            },
            Value::Array(values) => values.iter().map(|it| self.value(field, it)).collect(),
            Value::String(text) => Value::String(self.text(field, text)),
            other if is("value", field) => hidden(other),
            other => other.clone(),
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>) -> Value {
        let mut kept = Map::new();
        for (field, value) in fields {
            let value = self.value(field, value);
            let name = if is_field(field) && !self.placeholders.hides(field) {
                field.clone()
            } else {
                self.placeholders.of("name", field)
            };
            kept.insert(name, value);
        }
        Value::Object(kept)
    }

    /// A map by names that a user chose.
    fn map(&mut self, kind: &'static str, fields: &Map<String, Value>) -> Value {
        let mut kept = Map::new();
        for (name, value) in fields {
            let value = match value {
                Value::Object(fields) => self.fields(fields),
                other => hidden(other),
            };
            kept.insert(self.placeholders.of(kind, name), value);
        }
        Value::Object(kept)
    }

    fn text(&mut self, field: &str, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        if KEPT.iter().any(|kept| is(kept, field)) && is_plain(text) {
            return text.to_owned();
        }
        if let Some((_, kind)) = NAMES.iter().find(|(name, _)| is(name, field)) {
            return self.placeholders.of(kind, text);
        }
        match field {
            "id" => self.placeholders.of_id(text),
            "name" => match (self.shape, text.split_once('/')) {
                // A slot is listed as `site/slot`.
                (Shape::Resource("slot"), Some((_, slot))) => self.placeholders.of("slot", slot),
                (Shape::Resource(kind), None) => self.placeholders.of(kind, text),
                _ => self.placeholders.of("name", text),
            },
            "reference" => self.placeholders.of_reference(text, self.vault_suffix),
            _ => REDACTED.to_owned(),
        }
    }
}

fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// A private value. Null stays, because it is none.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ => REDACTED.into(),
    }
}

/// Whether a name has the form of a field's name in Azure's contracts.
fn is_field(name: &str) -> bool {
    name.len() <= 60
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '@' | '$'))
}

/// Whether a text of a kept field has the form of a word, a type or a region: no path, no host and
/// no id.
fn is_plain(text: &str) -> bool {
    let is_id = |word: &str| word.len() >= 32 && word.chars().any(|c| c.is_ascii_digit());
    text.len() <= 80
        && !text.starts_with('/')
        && (!text.contains('.') || text.starts_with("Microsoft."))
        && !text.to_lowercase().contains("subscriptions/")
        && !text.split([' ', '/', ',']).any(is_id)
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " .,/_+()-".contains(c))
}

/// The headers of a response: all names, and the values that describe limits, form and time.
pub(super) fn headers(headers: &[(String, String)]) -> Map<String, Value> {
    let kept = |name: &str, value: &str| match name {
        "content-type" | "date" | "retry-after" => value.len() <= 100,
        _ if name.starts_with("x-ms-ratelimit-") => value.parse::<u64>().is_ok(),
        _ => false,
    };
    let keep = |(name, value): &(String, String)| {
        let value = if kept(name, value) { value } else { REDACTED };
        (name.clone(), value.into())
    };
    headers.iter().map(keep).collect()
}

/// The error code of a response, in each of the forms of Azure.
pub(super) fn code(body: &Value) -> Option<String> {
    let error = body.get("error").unwrap_or(body);
    let field = |name: &str| error.get(name)?.as_str();
    let code = field("code").or_else(|| field("Code"))?;
    is_plain(code).then(|| code.to_owned())
}

/// The action in the message of a response that denies it. An action consists of types and no
/// names, which is checked.
pub(super) fn denied_action(body: &Value, placeholders: &Placeholders) -> Option<String> {
    let error = body.get("error").unwrap_or(body);
    let field = |name: &str| error.get(name)?.as_str();
    let message = field("message").or_else(|| field("Message"))?;
    let mut quoted = message.split('\'');
    let action = quoted.find(|it| it.to_lowercase().starts_with("microsoft."))?;
    let is_action = action.split('/').all(|part| {
        !placeholders.hides(part) && part.chars().all(|c| c.is_ascii_alphabetic() || c == '.')
    });
    (is_action && action.contains('/')).then(|| action.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(shape: Shape, body: &Value) -> Value {
        Redaction {
            placeholders: &mut Placeholders::default(),
            vault_suffix: "vault.azure.net",
            shape,
        }
        .body(body)
    }

    #[test]
    fn only_listed_texts_are_kept() {
        let body = json!({
            "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders",
            "name": "orders", "type": "Microsoft.Web/sites", "kind": "functionapp,linux",
            "location": "West Europe", "tags": { "owner": "me", "level": 3 },
            "identity": {
                "type": "UserAssigned", "principalId": "p", "tenantId": "t",
                "userAssignedIdentities": { "/subscriptions/s/x": { "clientId": "c" } }
            },
            "properties": {
                "state": "Running", "source": "orders.example", "enabled": true,
                "status": "0c775176-1b5a-4ca0-9f3d-eec5fba4af83",
                "size": 1536, "hostNames": ["orders.azurewebsites.net"], "sku": null, "a/b": "c",
                "siteConfig": { "azureStorageAccounts": { "share": { "accessKey": "k" } } }
            }
        });
        let expected = json!({
            "id": "site-1", "name": "site-1", "type": "Microsoft.Web/sites",
            "kind": "functionapp,linux", "location": "West Europe",
            "tags": { "tag-1": "redacted", "tag-2": "redacted" },
            "identity": {
                "type": "UserAssigned", "principalId": "redacted", "tenantId": "redacted",
                "userAssignedIdentities": { "identity-1": { "clientId": "redacted" } }
            },
            "properties": {
                "state": "Running", "source": "redacted", "enabled": true,
                "status": "redacted", "size": 1536,
                "hostNames": ["redacted"], "sku": null, "name-1": "redacted",
                "siteConfig": { "azureStorageAccounts": { "name-2": { "accessKey": "redacted" } } }
            }
        });
        let Value::Object(redacted) = redacted(Shape::Resource("site"), &body) else {
            panic!()
        };
        for (field, value) in redacted {
            let normal = value.to_string().replace("name-2", "name-1");
            assert_eq!(
                normal,
                expected[&field].to_string().replace("name-2", "name-1")
            );
        }
    }

    #[test]
    fn settings_and_connection_strings_have_no_names_and_no_values() {
        let body = json!({ "name": "appsettings", "properties": { "status": "s", "PIN": 1234, "N": null } });
        let expected =
            json!({ "setting-1": null, "setting-2": "redacted", "setting-3": "redacted" });
        assert_eq!(redacted(Shape::Settings, &body)["properties"], expected);
        let body =
            json!({ "properties": { "type": { "value": 12, "type": "SQLAzure" }, "x": "y" } });
        let expected = json!({
            "connection-string-1": { "value": "redacted", "type": "SQLAzure" },
            "connection-string-2": "redacted"
        });
        assert_eq!(
            redacted(Shape::ConnectionStrings, &body)["properties"],
            expected
        );
    }

    #[test]
    fn an_error_keeps_its_code_and_its_action() {
        let body = json!({ "error": { "code": "AuthorizationFailed", "message":
            "The client 'c' does not have authorization to perform action 'Microsoft.Web/sites/config/list/action' over scope '/s'" } });
        let kept = redacted(Shape::Settings, &body);
        assert_eq!(
            kept,
            json!({ "error": { "code": "AuthorizationFailed", "message": "redacted" } })
        );
        assert_eq!(code(&body).as_deref(), Some("AuthorizationFailed"));
        let mut placeholders = Placeholders::default();
        let action = denied_action(&body, &placeholders);
        assert_eq!(
            action.as_deref(),
            Some("Microsoft.Web/sites/config/list/action")
        );
        placeholders.of("site", "list");
        assert_eq!(denied_action(&body, &placeholders), None);
    }

    #[test]
    fn headers_keep_their_names() {
        let pairs = [
            ("x-ms-ratelimit-remaining-subscription-reads", "249"),
            ("x-ms-ratelimit-remaining-resource", "contoso;3"),
            ("retry-after", "17"),
            ("x-ms-request-id", "0c775176"),
        ];
        let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = json!({
            "x-ms-ratelimit-remaining-subscription-reads": "249",
            "x-ms-ratelimit-remaining-resource": "redacted",
            "retry-after": "17",
            "x-ms-request-id": "redacted"
        });
        assert_eq!(Value::Object(headers(&owned)), expected);
    }
}
