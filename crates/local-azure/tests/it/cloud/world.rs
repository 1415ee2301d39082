use keyrelay_local_azure::{AzureCloud, World, WorldError};

const HEAD: &str = "subscription = \"s\"\n";

fn check(toml: &str, expected: &str) {
    let error = World::parse(&format!("{HEAD}{toml}")).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_site_needs_a_name_and_a_group_only() {
    let world = World::parse(&format!(
        "{HEAD}[[site]]\nname = \"orders\"\nresource_group = \"shop\""
    ))
    .unwrap();
    let site = &world.sites[0];
    assert_eq!(
        (site.kind.as_str(), site.identity, world.cloud),
        ("functionapp,linux", true, AzureCloud::Public)
    );
}

#[test]
fn rejects_unknown_keys() {
    check("colour = \"red\"", "unknown field `colour`");
    check(
        "[[site]]\nname = \"a\"\nresource_group = \"g\"\ncolour = \"red\"",
        "line 5",
    );
}

#[test]
fn names_every_inconsistency() {
    let vault = "[[vault]]\nname = \"kv\"\nresource_group = \"g\"\ndenies = [\"nobody\"]\nsecrets = { a_b = \"x\" }\n";
    let site = "[[site]]\nname = \"a\"\nresource_group = \"g\"\n";
    let error = World::parse(&format!("{HEAD}{vault}{site}{site}")).unwrap_err();
    let WorldError::Contradictory(problems) = error else {
        panic!("{error}")
    };
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn does_not_print_values() {
    let vault =
        "[[vault]]\nname = \"kv\"\nresource_group = \"g\"\nsecrets = { a = \"planted-value\" }\n";
    let site =
        "[[site]]\nname = \"a\"\nresource_group = \"g\"\nsettings = { A = \"planted-value\" }\n";
    let world = World::parse(&format!("{HEAD}{vault}{site}")).unwrap();
    assert!(!format!("{world:#?}").contains("planted-value"));
}

#[test]
fn does_not_quote_an_invalid_line() {
    let error = World::parse(&format!("{HEAD}tenant = \"planted-value\nmore")).unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("planted-value"),
        "{error:?}"
    );
}

#[test]
fn the_world_of_the_client_libraries_is_valid() {
    World::parse(include_str!("../../clients.toml")).unwrap();
}
