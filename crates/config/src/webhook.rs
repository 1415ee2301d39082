//! The table `[webhook]`: the address that `keyrelay-host --webhook` listens on, and the senders
//! that it accepts.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use uuid::Uuid;

use crate::keys::WEBHOOK;
use crate::table::Table;

/// The settings of the webhook that serves Event Grid without a Functions host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The address to serve plain HTTP on. The ingress in front of it terminates TLS.
    pub listen: SocketAddr,
    /// The tenant whose tokens are accepted, in lower case.
    pub tenant: String,
    /// The accepted audiences of a token.
    pub audience: Vec<String>,
    /// The client ids of the accepted senders, in lower case. Empty: every sender that has the
    /// role.
    pub senders: Vec<String>,
    /// The app role that a sender must have.
    pub role: Option<String>,
    /// The size of the largest accepted body, in bytes.
    pub largest_body: usize,
    /// The number of deliveries that are handled side by side.
    pub at_once: usize,
    /// The number of deliveries that are accepted in a minute.
    pub a_minute: NonZeroU32,
}

/// The largest body that can be configured. Event Grid sends at most 1 MB, for one event or a
/// batch.
const LARGEST_BODY: u64 = 16 * 1024 * 1024;

/// Reads the table, if there is one.
pub(crate) fn read(table: &mut Table) -> Option<WebhookConfig> {
    let mut webhook = table.table("webhook", WEBHOOK)?;
    let read = from_table(&mut webhook);
    table.absorb(webhook);
    read
}

fn from_table(table: &mut Table) -> Option<WebhookConfig> {
    let listen = table
        .parsed::<Listen>("listen")
        .map(|Listen(address)| address);
    let has_tenant = table.has("tenant");
    let tenant = table.parsed::<Guid>("tenant");
    if !has_tenant {
        table.problem(
            "tenant",
            "missing: write the id of the Entra tenant whose tokens are accepted",
        );
    }
    let has_audience = table.has("audience");
    let audience: Vec<String> = table
        .parsed_list::<Word>("audience")
        .into_iter()
        .map(|Word(text)| text)
        .collect();
    if !has_audience {
        let message = "missing: write the application id URI of the app registration that Event Grid gets tokens for, \
                       and its client id beside it";
        table.problem("audience", message);
    } else if audience.is_empty() {
        table.problem("audience", "empty: no sender could deliver");
    }
    let (has_senders, has_role) = (table.has("senders"), table.has("role"));
    let senders: Vec<String> = table
        .parsed_list::<Guid>("senders")
        .into_iter()
        .map(|Guid(id)| id)
        .collect();
    let role = table.parsed::<Word>("role").map(|Word(text)| text);
    if !has_senders && !has_role {
        let message = "`role` or `senders` is needed: any app of the tenant can get a token for this audience, so the \
                       audience alone admits them all";
        table.problem("", message);
    } else if senders.is_empty() && !has_role {
        table.problem(
            "senders",
            "empty, and there is no `role`: no sender could deliver",
        );
    }
    let largest_body = table.size("largest_body_bytes", 1_024..=LARGEST_BODY);
    let at_once = table.size("at_once", 1..=10_000);
    let a_minute = table.integer("a_minute", 1..=1_000_000);
    Some(WebhookConfig {
        listen: listen?,
        tenant: tenant.map(|Guid(id)| id)?,
        audience,
        senders,
        role,
        largest_body: largest_body?,
        at_once: at_once?,
        a_minute: NonZeroU32::new(u32::try_from(a_minute?).ok()?)?,
    })
}

/// An address to listen on.
pub(crate) struct Listen(pub(crate) SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text
            .parse()
            .map_err(|_| format!("`{text}` is no address to listen on, like `0.0.0.0:8080`"))?;
        Ok(Self(address))
    }
}

/// The id of a tenant or an app, in lower case.
struct Guid(String);

impl FromStr for Guid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = Uuid::try_parse(text.trim());
        let id = id.map_err(|_| {
            format!("`{text}` is no id like `00000000-0000-0000-0000-000000000000`")
        })?;
        Ok(Self(id.hyphenated().to_string()))
    }
}

/// A text with something in it, and no space.
struct Word(String);

impl FromStr for Word {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err("expected a text that is not empty and has no spaces");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::Config;

    const TENANT: &str = "00000000-0000-0000-0000-00000000AAAA";

    #[track_caller]
    fn check_problems(table: &str, expected: &[&str]) {
        let problems = Config::read(&format!("[webhook]\n{table}"), &BTreeMap::new()).unwrap_err();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn without_the_table_there_is_no_webhook() {
        assert_eq!(Config::read("", &BTreeMap::new()).unwrap().webhook, None);
    }

    #[test]
    fn a_key_that_is_left_out_has_a_default() {
        let text = format!(
            "[webhook]\ntenant = \"{TENANT}\"\naudience = \"api://keyrelay\"\nrole = \"deliver\"\n"
        );
        let webhook = Config::read(&text, &BTreeMap::new())
            .unwrap()
            .webhook
            .unwrap();
        assert_eq!(webhook.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(webhook.tenant, TENANT.to_lowercase());
        assert_eq!(webhook.audience, ["api://keyrelay"]);
        assert_eq!(
            (
                webhook.largest_body,
                webhook.at_once,
                webhook.a_minute.get()
            ),
            (1024 * 1024, 100, 6_000)
        );
    }

    #[test]
    fn the_documented_example_is_one() {
        let page = include_str!("../../../docs/webhook.md");
        let example = page
            .split("```toml\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .unwrap();
        let webhook = Config::read(example, &BTreeMap::new())
            .unwrap()
            .webhook
            .unwrap();
        assert_eq!((webhook.audience.len(), webhook.senders.len()), (2, 1));
    }

    #[test]
    fn it_is_an_app_setting_too() {
        let table = format!(
            "{{ tenant = \"{TENANT}\", audience = [\"a\", \"b\"], senders = [\"{TENANT}\"] }}"
        );
        let environment = BTreeMap::from([("KEYRELAY_WEBHOOK".to_owned(), table)]);
        let webhook = Config::read("", &environment).unwrap().webhook.unwrap();
        assert_eq!(webhook.audience, ["a", "b"]);
        assert_eq!(webhook.senders, [TENANT.to_lowercase()]);
    }

    #[test]
    fn the_probes_may_have_a_port_of_their_own() {
        let of = |name: &str, value: &str| {
            let environment = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            Config::read("", &environment)
        };
        let read = of("KEYRELAY_PROBE_LISTEN", "127.0.0.1:8081").unwrap();
        assert_eq!(read.probe_listen.unwrap().port(), 8081);
        assert_eq!(of("OTHER", "").unwrap().probe_listen, None);
        let problems = of("KEYRELAY_PROBE_LISTEN", "8081").unwrap_err();
        assert!(
            problems[0]
                .to_string()
                .contains("is no address to listen on")
        );
    }

    #[test]
    fn all_problems_are_said_at_once() {
        check_problems(
            "listen = \"8080\"\naudience = [\"a b\"]\nat_once = 0\nport = 1\n",
            &[
                "keyrelay.toml: webhook.listen: `8080` is no address",
                "keyrelay.toml: webhook.tenant: missing",
                "keyrelay.toml: webhook.audience[0]: expected a text",
                "keyrelay.toml: webhook.audience: empty",
                "keyrelay.toml: webhook: `role` or `senders` is needed",
                "keyrelay.toml: webhook.at_once: expected a whole number from 1",
                "keyrelay.toml: webhook.port: unknown key",
            ],
        );
    }

    #[test]
    fn a_webhook_that_admits_no_sender_is_a_problem() {
        let tenant = format!("tenant = \"{TENANT}\"\n");
        check_problems(
            &format!("{tenant}audience = []\nsenders = []\n"),
            &[
                "keyrelay.toml: webhook.audience: empty",
                "keyrelay.toml: webhook.senders: empty, and there is no `role`",
            ],
        );
        check_problems(
            &format!("{tenant}audience = \"a\"\nrole = \"\"\n"),
            &["keyrelay.toml: webhook.role: expected a text"],
        );
    }
}
