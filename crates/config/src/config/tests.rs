use super::*;

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(file: &str) -> Config {
    Config::read(file, &BTreeMap::new()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[track_caller]
fn check_problems(file: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let problems = Config::read(file, &environment(variables)).unwrap_err();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
    }
}

const APP: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

#[test]
fn nothing_is_a_configuration() {
    let config = read("");
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!(config.answer_within, Duration::from_secs(25));
    assert!(config.scope.is_empty() && config.vaults.is_empty() && config.rules.is_empty());
    assert_eq!(config.cloud.vault_suffix, "vault.azure.net");
}

#[test]
fn every_key_is_read() {
    let config = read(&format!(
        r#"
        mode = "monitor"
        scope = ["/subscriptions/s/resourceGroups/g"]
        vaults = ["Contoso-KV"]
        cloud = "usgov"
        client_id = "c0000000-0000-0000-0000-000000000000"
        answer_within_ms = 9000
        apps_at_once = 4
        log = "debug"

        [[rotation]]
        secret = "SQL-*"
        policy = "alternate"
        apps = ["{APP}"]
        mode = "off"
        parameters = {{ partner = "sql-b" }}
        grant = {{ set = ["SQL_*"], remove = ["OLD"], reveal = ["SQL_USER"], secrets = ["sql-b"], text = true }}
        limits = {{ time_ms = 100, memory_mb = 8 }}
        "#
    ));
    assert_eq!((config.mode, config.log), (Mode::Monitor, LogLevel::Debug));
    assert_eq!(config.vaults, ["contoso-kv"]);
    assert_eq!(config.cloud.vault_suffix, "vault.usgovcloudapi.net");
    assert_eq!((config.scope.len(), config.apps_at_once), (1, 4));
    assert_eq!(config.client_ids, ["c0000000-0000-0000-0000-000000000000"]);
    let rotation = &config.rules[0];
    assert!(rotation.secret.matches(&"sql-a".parse().unwrap()));
    assert!(!rotation.secret.matches(&"mysql-a".parse().unwrap()));
    assert_eq!(
        (rotation.policy.as_deref(), rotation.mode),
        (Some("alternate"), Some(Mode::Off))
    );
    assert_eq!(rotation.apps, [APP.parse().unwrap()]);
    assert_eq!(rotation.parameters["partner"], "sql-b");
    assert!(rotation.grant.text && rotation.grant.reveals(&"SQL_USER".parse().unwrap()));
    assert_eq!(rotation.limits.memory, Some(8 * 1024 * 1024));
}

#[test]
fn an_app_setting_wins_over_the_file() {
    let variables = environment(&[
        ("KEYRELAY_MODE", "off"),
        ("KEYRELAY_VAULTS", "a-kv, b-kv"),
        ("KEYRELAY_SCOPE", r#"["/subscriptions/s"]"#),
        ("KEYRELAY_APPS_AT_ONCE", "3"),
        (
            "KEYRELAY_CLOUD",
            r#"{ resource_manager = "http://127.0.0.1:4001", vault_endpoint = "http://127.0.0.1:4002/vaults/{vault}" }"#,
        ),
        (
            "KEYRELAY_ROTATION",
            r#"[{ secret = "sql", mode = "monitor" }]"#,
        ),
        ("APPSETTING_KEYRELAY_MODE", "enforce"),
        ("PATH", "/bin"),
    ]);
    let config = Config::read("mode = \"enforce\"\nvaults = [\"c-kv\"]", &variables).unwrap();
    assert_eq!((config.mode, config.apps_at_once), (Mode::Off, 3));
    assert_eq!(config.vaults, ["a-kv", "b-kv"]);
    assert_eq!((config.scope.len(), config.rules.len()), (1, 1));
    assert_eq!(
        config.cloud.resource_manager.as_str(),
        "http://127.0.0.1:4001/"
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let file = r#"
        mode = "on"
        scop = []
        scope = ["/subscriptions/s", "orders", 7]
        vaults = 7
        answer_within_ms = 60000

        [[rotation]]
        policy = 7
        apps = ["orders"]
        grant = { sett = [], set = ["A B"], text = "yes" }
        limits = { time_ms = 0 }
        parameters = { a = 1 }
    "#;
    check_problems(
        file,
        &[
            ("KEYRELAY_MOED", "off"),
            ("KEYRELAY_APPS_AT_ONCE", "many"),
            ("KEYRELAY_LOG", "loud"),
        ],
        &[
            "app setting KEYRELAY_APPS_AT_ONCE: not a TOML value",
            "app setting KEYRELAY_MOED: unknown name; known are KEYRELAY_MODE,",
            "keyrelay.toml: mode: `on` is none of `enforce`, `monitor`, `off`",
            "keyrelay.toml: scope[1]: `orders`",
            "keyrelay.toml: scope[2]: expected a text",
            "keyrelay.toml: vaults: expected a list of texts",
            "keyrelay.toml: answer_within_ms: expected a whole number from 1000 to 27000",
            "app setting KEYRELAY_LOG: `loud` is none of",
            "keyrelay.toml: rotation[0].secret: needs the name of a secret",
            "keyrelay.toml: rotation[0].policy: expected a text",
            "keyrelay.toml: rotation[0].apps[0]: `orders` is not the id of an app",
            "keyrelay.toml: rotation[0].parameters.a: expected a text",
            "keyrelay.toml: rotation[0].grant.set[0]: `A B` is not a setting name",
            "keyrelay.toml: rotation[0].grant.text: expected true or false",
            "keyrelay.toml: rotation[0].grant.sett: unknown key; known are set, remove, reveal, secrets, text",
            "keyrelay.toml: rotation[0].limits.time_ms: expected a whole number",
            "keyrelay.toml: scop: unknown key; known are",
        ],
    );
}

/// A rule for `sql` with these lines, after these lines at the top.
fn rule(top: &str, lines: &str) -> String {
    format!("{top}\n[[rotation]]\nsecret = \"sql\"\n{lines}\n")
}

#[test]
fn a_grant_without_a_vault_is_refused() {
    let needs_vault = "a rotation with a `grant` must name its vault";
    for grant in [
        "set = [\"SQL\"]",
        "remove = [\"SQL\"]",
        "reveal = [\"SQL\"]",
        "secrets = [\"sql-b\"]",
        "secrets = [\"other-kv/sql-b\"]",
        "text = true",
    ] {
        let grant = format!("grant = {{ {grant} }}");
        let expected = format!("keyrelay.toml: rotation[0].vault: {needs_vault}");
        check_problems(&rule("", &grant), &[], &[&expected]);
        for bound in [
            rule("vaults = [\"contoso-kv\"]", &grant),
            rule("", &format!("vault = \"contoso-kv\"\n{grant}")),
            format!("[[rotation]]\nsecret = \"contoso-kv/sql\"\n{grant}"),
        ] {
            read(&bound);
        }
        let vaults = environment(&[("KEYRELAY_VAULTS", "contoso-kv")]);
        assert!(Config::read(&rule("", &grant), &vaults).is_ok());
    }
    check_problems(
        "",
        &[(
            "KEYRELAY_ROTATION",
            "[{ secret = \"sql\", grant = { text = true } }]",
        )],
        &[&format!(
            "app setting KEYRELAY_ROTATION[0].vault: {needs_vault}"
        )],
    );
    read(&rule("", "grant = {}"));
}

#[test]
fn a_granted_secret_without_a_vault_is_in_the_vault_of_the_rule() {
    let granted = |file: &str| -> Vec<String> {
        let secrets = &read(file).rules[0].grant.secrets;
        secrets.iter().map(ToString::to_string).collect()
    };
    let grant = "grant = { secrets = [\"sql-b\", \"Other-KV/sql-c\"] }";
    let of_rule = ["contoso-kv/sql-b", "other-kv/sql-c"];
    let both = "vaults = [\"b-kv\", \"contoso-kv\"]";
    let own = format!("vault = \"Contoso-KV\"\n{grant}");
    assert_eq!(granted(&rule("", &own)), of_rule);
    assert_eq!(granted(&rule(both, &own)), of_rule);
    assert_eq!(granted(&rule("vaults = [\"contoso-kv\"]", grant)), of_rule);
    check_problems(
        &rule(both, grant),
        &[],
        &[
            "keyrelay.toml: rotation[0].grant.secrets[0]: `sql-b` may be in each of `vaults`: write `<vault>/sql-b`",
        ],
    );
}

#[test]
fn the_vault_of_a_rule_is_a_name_and_given_once() {
    check_problems(
        "[[rotation]]\nsecret = \"b-kv/sql\"\nvault = \"c-kv\"\n",
        &[],
        &["keyrelay.toml: rotation[0].vault: `secret` names the vault `b-kv`"],
    );
    check_problems(
        "[[rotation]]\nsecret = \"b.kv/sql\"\n[[rotation]]\nsecret = \"a-kv/b/c\"\n",
        &[],
        &[
            "keyrelay.toml: rotation[0].secret: `b.kv` is not a vault name",
            "keyrelay.toml: rotation[0].secret: needs",
            "keyrelay.toml: rotation[1].secret: `b/c` is not a secret's name",
            "keyrelay.toml: rotation[1].secret: needs",
        ],
    );
}

#[test]
fn installations_for_several_vaults_may_share_a_file() {
    let file = rule("", "vault = \"a-kv\"\ngrant = { text = true }");
    assert!(Config::read(&file, &environment(&[("KEYRELAY_VAULTS", "b-kv")])).is_ok());
}

#[test]
fn a_mode_setting_changes_the_rotations_of_all_vaults() {
    let file = "[[rotation]]\nsecret = \"a-kv/sql\"\n[[rotation]]\nsecret = \"b-kv/sql\"\n";
    let config = Config::read(file, &environment(&[("KEYRELAY_MODE_SQL", "off")])).unwrap();
    assert!(config.rules.iter().all(|rule| rule.mode == Some(Mode::Off)));
}

#[test]
fn a_pattern_cannot_reveal() {
    check_problems(
        "[[rotation]]\nsecret = \"s\"\ngrant = { reveal = [\"SQL_*\"] }",
        &[],
        &["keyrelay.toml: rotation[0].grant.reveal[0]: `SQL_*` is not a setting name"],
    );
}

#[test]
fn a_file_that_is_no_toml_is_reported_with_its_location() {
    check_problems(
        "mode = ",
        &[],
        &["keyrelay.toml: TOML parse error at line 1"],
    );
}

#[test]
fn plain_http_is_for_this_machine_only() {
    check_problems(
        "cloud = { resource_manager = \"http://management.example\" }",
        &[],
        &["keyrelay.toml: cloud:"],
    );
}

#[test]
fn refreshes_and_the_audit_log_are_configured() {
    let text = "refresh = \"once\"\nazure_refresh_ms = 20000\n\
                audit = { workspace = \"11111111-2222-3333-4444-555555555555\" }\n\
                [[rotation]]\nsecret = \"sql\"\nrefresh = \"twice\"\n";
    let config = Config::read(text, &BTreeMap::new()).unwrap();
    assert_eq!(config.refresh, RefreshRule::Once);
    assert_eq!(config.rules[0].refresh, Some(RefreshRule::Twice));
    assert_eq!(
        config.refresh_timing,
        RefreshTiming::new(Duration::from_secs(20))
    );
    let workspace = config.audit_workspace.as_deref();
    assert_eq!(workspace, Some("11111111-2222-3333-4444-555555555555"));
    let defaults = Config::read("", &BTreeMap::new()).unwrap();
    assert_eq!(defaults.refresh, RefreshRule::Twice);
    assert_eq!(defaults.refresh_timing.between(), Duration::from_secs(20));
    assert_eq!(defaults.audit_workspace, None);
}

#[test]
fn a_workspace_that_is_no_guid_is_refused() {
    let problems = Config::read("audit = { workspace = \"my-logs\" }", &BTreeMap::new());
    let text = problems.unwrap_err()[0].to_string();
    assert!(
        text.contains("audit.workspace") && text.contains("Workspace ID"),
        "{text}"
    );
}

#[test]
fn trusted_keys_need_a_lock() {
    const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let trusted = format!("trusted_keys = [\"{KEY}\"]");
    assert_eq!(read(&trusted).trusted_keys.len(), 1);
    read(&format!("locked = true\n{trusted}"));
    check_problems(
        &format!("locked = false\n{trusted}"),
        &[],
        &[
            "keyrelay.toml: locked: `false` contradicts `trusted_keys`, which need a signed \
             policies.lock: remove one of them",
        ],
    );
    let no_key = "keyrelay.toml: trusted_keys[0]: a public key is an Ed25519 key as `keyrelay key \
                  show` prints it: 60 characters that begin with `MCowBQYDK2VwAyEA`";
    check_problems("trusted_keys = [\"SHA256:abc\"]", &[], &[no_key]);
    // The app setting replaces the keys of the file.
    let other = environment(&[("KEYRELAY_TRUSTED_KEYS", &format!("{KEY},{KEY}"))]);
    assert_eq!(
        Config::read(&trusted, &other).unwrap().trusted_keys.len(),
        2
    );
}

#[test]
fn a_list_of_no_trusted_keys_does_not_switch_the_check_off() {
    const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let trusted = format!("trusted_keys = [\"{KEY}\"]");
    for blank in ["", " ", ",", " , ", "[]"] {
        let expected = "app setting KEYRELAY_TRUSTED_KEYS: it names no key";
        check_problems(&trusted, &[("KEYRELAY_TRUSTED_KEYS", blank)], &[expected]);
    }
    let expected = "keyrelay.toml: trusted_keys: it names no key";
    check_problems("trusted_keys = []", &[], &[expected]);
}

#[test]
fn several_identities_are_a_list() {
    const A: &str = "a0000000-0000-0000-0000-000000000000";
    const B: &str = "b0000000-0000-0000-0000-000000000000";
    let ids = |config: Config| config.client_ids;
    assert_eq!(
        ids(read(&format!("client_ids = [\"{A}\", \"{B}\"]"))),
        [A, B]
    );
    let both = format!("{A}, {B}");
    let setting = [("KEYRELAY_CLIENT_IDS".to_owned(), both.clone())];
    assert_eq!(ids(Config::read("", &setting.into()).unwrap()), [A, B]);
    assert!(ids(read("")).is_empty());
    let names_both = "keyrelay.toml: client_ids: `client_id` and `client_ids` are both set";
    let file = format!("client_id = \"{A}\"\nclient_ids = [\"{B}\"]");
    check_problems(&file, &[], &[names_both]);
    let setting = [("KEYRELAY_CLIENT_IDS", both.as_str())];
    let of_setting = "app setting KEYRELAY_CLIENT_IDS: `client_id` and `client_ids` are both set";
    check_problems(&format!("client_id = \"{A}\""), &setting, &[of_setting]);
    let none = "keyrelay.toml: client_ids: it names no identity";
    check_problems("client_ids = []", &[], &[none]);
    let upper = A.to_uppercase();
    let twice = format!("keyrelay.toml: client_ids: `{upper}` is there twice");
    let file = format!("client_ids = [\"{A}\", \"{upper}\"]");
    check_problems(&file, &[], &[&twice]);
    check_problems(
        "client_ids = [\" \"]",
        &[],
        &["keyrelay.toml: client_ids: a client id is empty"],
    );
    for (key, value) in [("client_id", "\"orders\""), ("client_ids", "[\"orders\"]")] {
        let expected = format!("keyrelay.toml: {key}: `orders` is no client id: write the GUID");
        check_problems(&format!("{key} = {value}"), &[], &[&expected]);
    }
}

#[test]
fn vaults_are_names_each_once_and_never_none() {
    let file = |expected: &str| format!("keyrelay.toml: vaults: {expected}");
    let none = "it names no vault, and the events of all vaults would be handled";
    check_problems("vaults = []", &[], &[&file(none)]);
    for blank in ["", " ", ","] {
        let expected = format!("app setting KEYRELAY_VAULTS: {none}");
        check_problems(
            "vaults = [\"contoso-kv\"]",
            &[("KEYRELAY_VAULTS", blank)],
            &[&expected],
        );
    }
    let twice = file("`contoso-kv` is there twice");
    check_problems("vaults = [\"contoso-kv\", \"Contoso-KV\"]", &[], &[&twice]);
    for name in ["contoso_kv", "x", "contoso-kv.vault.azure.net"] {
        let expected = format!(
            "keyrelay.toml: vaults[0]: `{name}` is not a vault name: it has 3 to 24 letters"
        );
        check_problems(&format!("vaults = [\"{name}\"]"), &[], &[&expected]);
    }
}
