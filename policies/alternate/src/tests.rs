//! Decisions of `alternate`.

use keyrelay_policy::{ObjectKind, Value};

use super::*;

const HOST: &str = "v.vault.azure.net";

fn event(secret: &str, occurrence: Occurrence) -> Event {
    Event {
        occurrence,
        ..Event::new_version(HOST, secret, "2")
    }
}

fn rotated(secret: &str) -> Event {
    event(secret, Occurrence::NewVersionCreated)
}

fn to(secret: &str) -> Reference {
    Reference::to(HOST, secret)
}

/// An app with this value in its setting `SQL`, under a rotation of `a` and `b`.
fn app(sql: impl Into<Value>) -> App {
    let parameters =
        [("first", "a"), ("second", "b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    App {
        parameters: parameters.to_vec(),
        ..App::new("orders").with("SQL", sql)
    }
}

fn pinning(mut app: App) -> App {
    app.parameters.push(("pin".to_owned(), "true".to_owned()));
    app
}

#[track_caller]
fn check(event: Event, app: App, decision: Decision) {
    assert_eq!(Alternate::decide(event, app), Ok(decision));
}

#[test]
fn moves_to_the_partner_when_its_secret_nears_its_end() {
    for occurrence in [
        Occurrence::NearExpiry,
        Occurrence::Expired,
        Occurrence::ExpiryReminder,
    ] {
        check(
            event("a", occurrence),
            app(to("a")),
            Decision::set([("SQL", to("b"))]),
        );
        check(
            event("b", occurrence),
            app(to("b").at("1")),
            Decision::set([("SQL", to("a"))]),
        );
    }
}

#[test]
fn stays_where_it_is_when_the_other_secret_nears_its_end() {
    let skip = Decision::skip("no setting of `orders` references `b`");
    check(event("b", Occurrence::NearExpiry), app(to("a")), skip);
}

#[test]
fn moves_to_the_secret_that_was_rotated() {
    check(
        rotated("b"),
        app(to("a")),
        Decision::set([("SQL", to("b"))]),
    );
    check(
        rotated("a"),
        app(to("b").at("7")),
        Decision::set([("SQL", to("a"))]),
    );
}

#[test]
fn refreshes_when_the_secret_in_use_was_rotated() {
    check(rotated("a"), app(to("a")), Decision::Refresh);
}

#[test]
fn takes_the_version_out_of_the_secret_in_use() {
    check(
        rotated("a"),
        app(to("a").at("1")),
        Decision::set([("SQL", to("a"))]),
    );
}

#[test]
fn moves_all_settings_of_both_secrets_and_no_other() {
    let app = app(to("a"))
        .with("SQL_2", to("b"))
        .with("SQL_3", to("a").at("1"))
        .with("OTHER", to("c"));
    check(
        rotated("a"),
        app,
        Decision::set([("SQL_3", to("a")), ("SQL_2", to("a"))]),
    );
}

#[test]
fn does_not_mistake_a_secret_of_another_vault() {
    let app = app(Reference::to("w.vault.azure.net", "a"));
    check(
        rotated("b"),
        app,
        Decision::skip("no setting of `orders` references `b` or `a`"),
    );
}

#[test]
fn pins_to_the_new_version_when_told_to() {
    check(
        rotated("b"),
        pinning(app(to("a").at("1"))),
        Decision::set([("SQL", to("b").at("2"))]),
    );
    check(
        rotated("a"),
        pinning(app(to("a"))),
        Decision::set([("SQL", to("a").at("2"))]),
    );
}

#[test]
fn skips_what_is_pinned_to_the_new_version_already() {
    let skip = Decision::skip("every reference to `a` is pinned to this version already");
    check(rotated("a"), pinning(app(to("a").at("2"))), skip);
}

#[test]
fn pins_to_nothing_when_no_version_is_known() {
    let event = Event {
        version: None,
        ..rotated("b")
    };
    check(
        event.clone(),
        pinning(app(to("a"))),
        Decision::notice("the event of `b` names no version to pin to"),
    );
    check(event, app(to("a")), Decision::set([("SQL", to("b"))]));
}

#[test]
fn moves_to_a_partner_without_a_version_even_when_told_to_pin() {
    check(
        event("a", Occurrence::NearExpiry),
        pinning(app(to("a").at("1"))),
        Decision::set([("SQL", to("b"))]),
    );
}

#[test]
fn skips_an_app_that_uses_neither() {
    check(
        rotated("a"),
        app(Value::Withheld),
        Decision::skip("no setting of `orders` references `a` or `b`"),
    );
}

#[test]
fn nothing_is_moved_to_a_key() {
    let event = Event {
        kind: ObjectKind::Key,
        ..rotated("b")
    };
    check(
        event,
        app(to("a")),
        Decision::skip("no setting of `orders` references `b` or `a`"),
    );
}

#[test]
fn a_third_secret_is_an_error() {
    let error =
        "`c` is neither `a` nor `b`: give it a rotation of its own, above this one".to_owned();
    assert_eq!(Alternate::decide(rotated("c"), app(to("c"))), Err(error));
}

#[test]
fn wrong_parameters_are_found_by_the_check() {
    assert!(Alternate::check_parameters(&[]).is_err());
    assert_eq!(
        Alternate::check_parameters(&app(to("a")).parameters),
        Ok(())
    );
}
