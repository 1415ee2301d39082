//! Key Vault references: parse, render, parse again, against a second and naive reading.

use arbitrary::{Arbitrary as _, Unstructured};
use keyrelay_model::{Reference, Target};

use crate::made_of_bytes::struct_of_bytes;

/// The suffix of the vaults of our cloud.
const SUFFIX: &str = "vault.azure.net";

struct_of_bytes! {
    /// The target that a reference gets.
    #[derive(Debug)]
    struct NewTarget {
        vault: u8,
        suffix: u8,
        secret: u8,
        version: Option<u8>,
    }
}

/// The names of new targets. The fuzzer finds other names in the text itself.
const NAMES: [&str; 4] = ["a", "contoso-kv", "SQL", "x-1"];
const SUFFIXES: [&str; 3] = [SUFFIX, "vault.azure.cn", "vault.usgovcloudapi.net"];

fn pick<'a>(from: &[&'a str], index: u8) -> &'a str {
    let index = usize::from(index) % from.len();
    from.get(index).expect("in bounds")
}

impl NewTarget {
    fn get(&self) -> Target {
        let host = format!(
            "{}.{}",
            pick(&NAMES, self.vault),
            pick(&SUFFIXES, self.suffix)
        );
        Target {
            vault_host: host.parse().expect("a valid host"),
            secret: pick(&NAMES, self.secret).parse().expect("a valid name"),
            version: self
                .version
                .map(|it| format!("v{it}").parse().expect("a valid version")),
        }
    }
}

/// Parses a text. What is accepted means the same to the naive reading, prints as it was written,
/// and means its new target, exactly, when it gets one.
pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(target) = bytes.arbitrary::<NewTarget>() else {
        return;
    };
    let target = target.get();
    let Ok(text) = <&str>::arbitrary_take_rest(bytes) else {
        return;
    };
    check(&Reference::to(target.clone()), &target);
    let Ok(reference) = Reference::parse(text, SUFFIX) else {
        return;
    };
    assert_eq!(reference.to_string(), text, "rendering changes it");
    check(&reference, reference.target());
    let same = reference.with_target(reference.target().clone());
    assert_eq!(same.to_string(), text, "the spelling is lost");
    let moved = reference.with_target(target.clone());
    check(&moved, &target);
    // The way back leads to the same secret, in any spelling.
    let back = moved.with_target(reference.target().clone());
    check(&back, reference.target());
}

/// Checks that a reference means a target: to itself, when parsed again, and to the naive reading.
fn check(reference: &Reference, target: &Target) {
    let text = reference.to_string();
    assert_eq!(exact(reference.target()), exact(target), "{text}");
    let again = Reference::parse(&text, SUFFIX);
    let again = again.unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(exact(again.target()), exact(target), "{text}");
    let naive = naive(&text).unwrap_or_else(|| panic!("{text}: no second reading"));
    assert_eq!(naive, exact(target), "{text}");
}

/// Host, secret and version. Key Vault compares them without case.
type Parts = (String, String, Option<String>);

fn exact(target: &Target) -> Parts {
    let version = target.version.as_ref().map(|it| it.as_str());
    (
        target.vault_host.as_str().to_lowercase(),
        target.secret.as_str().to_lowercase(),
        version.map(str::to_lowercase),
    )
}

/// A reading that only splits. It does not check names, and knows nothing of the parser.
fn naive(text: &str) -> Option<Parts> {
    let lower = text.to_lowercase();
    let inner = lower
        .strip_prefix("@microsoft.keyvault(")?
        .strip_suffix(')')?;
    let parameters: Vec<(&str, &str)> = inner
        .split(';')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let only = |name: &str| {
        let mut values = parameters.iter().filter(|it| it.0 == name);
        let first = values.next().map(|it| it.1).filter(|it| !it.is_empty());
        first.filter(|_| values.next().is_none())
    };
    let (host, secret, version) = match only("secreturi") {
        Some(uri) => {
            let mut parts = uri.strip_prefix("https://")?.split('/');
            let host = parts.next()?.trim_end_matches(":443").to_owned();
            parts.next().filter(|it| *it == "secrets")?;
            (
                host,
                parts.next()?,
                parts.next().filter(|it| !it.is_empty()),
            )
        }
        None => {
            let host = format!("{}.{SUFFIX}", only("vaultname")?);
            (host, only("secretname")?, only("secretversion"))
        }
    };
    Some((host, secret.to_owned(), version.map(str::to_owned)))
}
