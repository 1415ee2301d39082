//! `keyrelay events`: the kinds of events, and samples of them.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use keyrelay_model::{Occurrence, SecretName, SecretVersion, VaultHost};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::case::event::{Kind, VAULT_SUFFIX, kind_of, kinds, name};
use crate::out;

/// List the kinds of events, or print a sample
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Events {
    #[command(subcommand)]
    command: Option<EventsCommand>,
    /// Print the kinds as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    Sample(Sample),
}

/// Print a valid event in the form that Event Grid sends
#[derive(Debug, Args)]
struct Sample {
    /// The kind of event: see `keyrelay events`
    #[arg(value_parser = kind_of)]
    kind: Kind,
    /// The vault's name
    #[arg(long, default_value = "contoso-kv")]
    vault: String,
    /// The name of the secret, certificate or key
    #[arg(long, default_value = "sql-password")]
    secret: SecretName,
    /// The version. Default: a random one
    #[arg(long)]
    version: Option<SecretVersion>,
    /// The Event Grid schema, or CloudEvents 1.0
    #[arg(long, value_enum, default_value_t)]
    schema: Schema,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Schema {
    #[default]
    EventGrid,
    CloudEvents,
}

impl Events {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Some(EventsCommand::Sample(sample)) => sample.run(),
            None => {
                for kind in kinds() {
                    let (event_type, meaning) = (event_type(kind), meaning(kind.1));
                    out::line(&match self.json {
                        true => {
                            json!({ "kind": name(kind), "type": event_type, "meaning": meaning })
                                .to_string()
                        }
                        false => format!("{:28}  {event_type:48}  {meaning}", name(kind)),
                    });
                }
                Ok(())
            }
        }
    }
}

impl Sample {
    fn run(self) -> anyhow::Result<()> {
        let Self {
            kind,
            vault,
            secret,
            version,
            schema,
        } = self;
        let host = VaultHost::from_name(&vault, VAULT_SUFFIX)?;
        let version = version.map_or_else(
            || Uuid::new_v4().simple().to_string(),
            |version| version.to_string(),
        );
        let now = Timestamp::now();
        let collection = kind.0.collection();
        let soon = now.as_second() + 30 * 24 * 60 * 60;
        let data = json!({
            "Id": format!("https://{host}/{collection}/{secret}/{version}"),
            "VaultName": vault,
            "ObjectType": kind.0.as_str(),
            "ObjectName": secret.as_str(),
            "Version": version,
            "NBF": null,
            "EXP": if kind.1 == Occurrence::NewVersionCreated { Value::Null } else { soon.into() },
        });
        let source = format!(
            "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/{vault}"
        );
        let id = Uuid::new_v4().to_string();
        let event = match schema {
            Schema::EventGrid => json!({
                "id": id, "topic": source, "subject": secret.as_str(), "eventType": event_type(kind),
                "eventTime": now.to_string(), "data": data, "dataVersion": "1", "metadataVersion": "1",
            }),
            Schema::CloudEvents => json!({
                "specversion": "1.0", "id": id, "source": source, "subject": secret.as_str(), "type": event_type(kind),
                "time": now.to_string(), "data": data,
            }),
        };
        out::line(&format!("{event:#}"));
        Ok(())
    }
}

/// The full event type.
fn event_type((object, occurrence): Kind) -> String {
    let prefix = if occurrence == Occurrence::ExpiryReminder {
        "keyrelay"
    } else {
        "Microsoft.KeyVault"
    };
    format!("{prefix}.{object}{occurrence}")
}

fn meaning(occurrence: Occurrence) -> &'static str {
    match occurrence {
        Occurrence::NewVersionCreated => "a new version exists",
        Occurrence::NearExpiry => "the version expires soon: 30 days ahead for secrets, once",
        Occurrence::Expired => "the version has expired",
        Occurrence::ExpiryReminder => {
            "the version expires within 30, 14, 7 or 1 days: keyrelay's own"
        }
    }
}
