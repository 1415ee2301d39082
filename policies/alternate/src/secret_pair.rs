//! The parameters of the policy: the pair of secrets to alternate between.

/// The pair of secrets, and the form of the references to them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SecretPair<'a> {
    first: &'a str,
    second: &'a str,
    /// Whether references are pinned to the new version of a rotated secret. Otherwise they have no
    /// version.
    pub(crate) pin: bool,
}

/// The length of the longest name of a secret in Key Vault.
const LONGEST_NAME: usize = 127;

impl<'a> SecretPair<'a> {
    /// Parses a rotation's parameters. The error is a sentence for the author of `keyrelay.toml`.
    pub(crate) fn read(parameters: &'a [(String, String)]) -> Result<Self, String> {
        let (mut first, mut second, mut pin) = (None, None, false);
        for (name, value) in parameters {
            match (name.as_str(), value.as_str()) {
                ("first", _) => first = Some(secret(name, value)?),
                ("second", _) => second = Some(secret(name, value)?),
                ("pin", "true") => pin = true,
                ("pin", "false") => pin = false,
                ("pin", _) => {
                    return Err(format!(
                        "`pin` is `{value}`: write `\"true\"` or `\"false\"`"
                    ));
                }
                _ => {
                    return Err(format!(
                        "there is no parameter `{name}`: there are `first`, `second` and `pin`"
                    ));
                }
            }
        }
        let missing = |name: &str| {
            format!(
                "`{name}` is missing: `first` and `second` name the secrets to alternate between"
            )
        };
        let first = first.ok_or_else(|| missing("first"))?;
        let second = second.ok_or_else(|| missing("second"))?;
        if first.eq_ignore_ascii_case(second) {
            return Err(format!(
                "`first` and `second` are both `{first}`: name two secrets"
            ));
        }
        Ok(Self { first, second, pin })
    }

    /// The other secret of the pair.
    pub(crate) fn partner_of(&self, secret: &str) -> Result<&'a str, String> {
        let Self { first, second, .. } = self;
        if first.eq_ignore_ascii_case(secret) {
            Ok(second)
        } else if second.eq_ignore_ascii_case(secret) {
            Ok(first)
        } else {
            Err(format!(
                "`{secret}` is neither `{first}` nor `{second}`: give it a rotation of its own, above this one"
            ))
        }
    }
}

fn secret<'a>(parameter: &str, name: &'a str) -> Result<&'a str, String> {
    let is_name = (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_name {
        Ok(name)
    } else {
        Err(format!(
            "`{parameter}` is `{name}`: name a secret of the event's vault, with letters, digits and dashes"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
        parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[track_caller]
    fn refuses(inputs: &[(&str, &str)], error: &str) {
        assert_eq!(SecretPair::read(&parameters(inputs)).unwrap_err(), error);
    }

    #[test]
    fn each_of_the_two_has_the_other_for_a_partner() {
        let inputs = parameters(&[("first", "sql-a"), ("second", "sql-b")]);
        let pair = SecretPair::read(&inputs).unwrap();
        assert!(!pair.pin);
        assert_eq!(pair.partner_of("SQL-A"), Ok("sql-b"));
        assert_eq!(pair.partner_of("sql-b"), Ok("sql-a"));
    }

    #[test]
    fn a_third_secret_has_no_partner() {
        let inputs = parameters(&[("first", "sql-a"), ("second", "sql-b")]);
        let error =
            "`sql-c` is neither `sql-a` nor `sql-b`: give it a rotation of its own, above this one";
        assert_eq!(
            SecretPair::read(&inputs).unwrap().partner_of("sql-c"),
            Err(error.to_owned())
        );
    }

    #[test]
    fn pin_is_true_or_false() {
        let pin = |value| {
            SecretPair::read(&parameters(&[
                ("first", "a"),
                ("pin", value),
                ("second", "b"),
            ]))
            .map(|it| it.pin)
        };
        assert_eq!(pin("true"), Ok(true));
        assert_eq!(pin("false"), Ok(false));
        assert_eq!(
            pin("yes"),
            Err("`pin` is `yes`: write `\"true\"` or `\"false\"`".to_owned())
        );
    }

    #[test]
    fn both_secrets_are_named() {
        let how = "is missing: `first` and `second` name the secrets to alternate between";
        refuses(&[], &format!("`first` {how}"));
        refuses(&[("second", "b")], &format!("`first` {how}"));
        refuses(&[("first", "a")], &format!("`second` {how}"));
    }

    #[test]
    fn they_are_two() {
        refuses(
            &[("first", "sql"), ("second", "SQL")],
            "`first` and `second` are both `sql`: name two secrets",
        );
    }

    #[test]
    fn they_are_named_as_key_vault_names_secrets() {
        let how = "name a secret of the event's vault, with letters, digits and dashes";
        refuses(&[("first", "")], &format!("`first` is ``: {how}"));
        refuses(
            &[("first", "a"), ("second", "kv/b")],
            &format!("`second` is `kv/b`: {how}"),
        );
        let long = "a".repeat(128);
        refuses(&[("first", &long)], &format!("`first` is `{long}`: {how}"));
        assert!(SecretPair::read(&parameters(&[("first", &long[1..]), ("second", "b")])).is_ok());
    }

    #[test]
    fn a_parameter_that_is_not_known_is_a_mistake() {
        refuses(
            &[("partner", "b")],
            "there is no parameter `partner`: there are `first`, `second` and `pin`",
        );
    }
}
