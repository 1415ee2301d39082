//! Guests that need no toolchain: core modules in WebAssembly text, with the types of `policy.wit`.

use std::collections::BTreeMap;
use std::path::Path;

use keyrelay_model::{AppId, Event, ObjectKind, Occurrence};
use keyrelay_sandbox::{
    AppView, Compilation, DecideError, LoadError, Policy, PolicyDecision, PolicyLimits, Sandbox,
    Undecided, VisibleSetting, VisibleValue,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A policy in WebAssembly text. Memory below 4096 is the guest's own: results are built at 64,
/// texts are at 1024 (`a text`, 6 bytes) and at 1040.
///
/// Its functions can call `$answer (case, payload...)` and `$fail (text, length)`, which return a
/// result, and `$hex (number)`, which appends 16 digits to the text at 1040. The length of that
/// text is `$hex_length`.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) imports: String,
    pub(crate) functions: String,
    pub(crate) describe: String,
    pub(crate) check_parameters: String,
    /// Receives `$event`, a pointer to the event. The app is 96 bytes after it.
    pub(crate) decide: String,
    pub(crate) world: &'static str,
    pub(crate) wit: String,
}

impl Guest {
    /// A policy that decides by these instructions and is valid otherwise.
    pub(crate) fn deciding(decide: &str) -> Self {
        Self {
            imports: String::new(),
            functions: String::new(),
            describe: "(i32.const 128)".to_owned(),
            check_parameters: "(i32.const 200)".to_owned(),
            decide: decide.to_owned(),
            world: "guest",
            wit: std::fs::read_to_string(wit()).unwrap(),
        }
    }

    /// A policy that always refreshes.
    pub(crate) fn refreshing() -> Self {
        Self::deciding(REFRESH)
    }

    /// The core module, with its types in a custom section.
    pub(crate) fn module(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        resolve.push_str("policy.wit", &self.wit).unwrap();
        let package = resolve
            .push_str("guest.wit", include_str!("guest.wit"))
            .unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        let mut module = wat::parse_str(self.text()).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        module
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        ComponentEncoder::default()
            .module(&self.module())
            .unwrap()
            .encode()
            .unwrap()
    }

    fn text(&self) -> String {
        if self.world == "stranger" {
            return r#"(module (func (export "run")))"#.to_owned();
        }
        let Self {
            imports,
            functions,
            describe,
            check_parameters,
            decide,
            ..
        } = self;
        format!(
            r#"(module
            {imports}
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 4096))
            (global $hex_length (mut i32) (i32.const 0))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
              (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
              (global.get $next)
              (global.set $next (i32.add (global.get $next) (local.get 3))))
            (func $answer (param $case i32) (param i32 i32 i32 i32) (result i32)
              (i32.store8 (i32.const 64) (i32.const 0))
              (i32.store8 (i32.const 68) (local.get $case))
              (i32.store (i32.const 72) (local.get 1)) (i32.store (i32.const 76) (local.get 2))
              (i32.store (i32.const 80) (local.get 3)) (i32.store (i32.const 84) (local.get 4))
              (i32.const 64))
            (func $fail (param $text i32) (param $length i32) (result i32)
              (i32.store8 (i32.const 64) (i32.const 1))
              (i32.store (i32.const 68) (local.get $text)) (i32.store (i32.const 72) (local.get $length))
              (i32.const 64))
            (func $hex (param $number i64) (local $digits i32)
              (loop $digit
                (i32.store8 (i32.add (i32.const 1040) (global.get $hex_length))
                  (i32.load8_u (i32.add (i32.const 1000) (i32.wrap_i64 (i64.shr_u (local.get $number) (i64.const 60))))))
                (local.set $number (i64.shl (local.get $number) (i64.const 4)))
                (global.set $hex_length (i32.add (global.get $hex_length) (i32.const 1)))
                (local.set $digits (i32.add (local.get $digits) (i32.const 1)))
                (br_if $digit (i32.lt_u (local.get $digits) (i32.const 16)))))
            {functions}
            (func (export "describe") (result i32) {describe})
            (func (export "check-parameters") (param $parameters i32) (param $length i32) (result i32) {check_parameters})
            (func (export "decide") (param $event i32) (result i32) {decide})
            (data (i32.const 1000) "0123456789abcdef")
            (data (i32.const 1024) "a text")
            ;; `about`: three texts, a list of one occurrence, a view.
            (data (i32.const 128) "\00\04\00\00\06\00\00\00\00\04\00\00\01\00\00\00\00\04\00\00\06\00\00\00\a8\00\00\00\01\00\00\00\00\00")
            )"#
        )
    }
}

/// Instructions that return `refresh`.
pub(crate) const REFRESH: &str =
    "(call $answer (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";

/// Instructions that return a notice with the text that `$hex` has written.
pub(crate) const HEX_NOTICE: &str = "(call $answer (i32.const 2) (i32.const 1040) (global.get $hex_length) (i32.const 0) (i32.const 0))";

/// The path of the WIT.
pub(crate) fn wit() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../policy-sdk/wit/policy.wit"
    ))
}

/// An event about a new version of the secret `sql`.
pub(crate) fn event(id: &str) -> Event {
    Event {
        id: id.to_owned(),
        vault_host: "v.vault.azure.net".parse().unwrap(),
        kind: ObjectKind::Secret,
        name: "sql".parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some("2".parse().unwrap()),
        time: 1_600_000_000,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: None,
    }
}

/// Limits that a hostile guest reaches soon, and a well-behaved one never.
pub(crate) fn limits() -> PolicyLimits {
    PolicyLimits {
        time: std::time::Duration::from_millis(100),
        memory: 4 << 20,
        ..PolicyLimits::default()
    }
}

pub(crate) async fn load(bytes: Vec<u8>) -> Result<Policy, LoadError> {
    Sandbox::new(Compilation::InProcess)
        .unwrap()
        .load("guest", bytes)
        .await
}

/// Loads a guest and lets it decide about an app with these settings.
pub(crate) async fn decide_about(
    guest: &Guest,
    settings: &[VisibleSetting],
) -> Result<PolicyDecision, Undecided> {
    decide(&load(guest.component()).await.unwrap(), "event-1", settings).await
}

pub(crate) async fn decide(
    policy: &Policy,
    event_id: &str,
    settings: &[VisibleSetting],
) -> Result<PolicyDecision, Undecided> {
    let id: AppId =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders/slots/blue"
            .parse()
            .unwrap();
    let parameters = BTreeMap::from([("first".to_owned(), "1".to_owned())]);
    let app = AppView {
        id: &id,
        settings,
        parameters: &parameters,
        grant: &keyrelay_model::Grant::default(),
    };
    policy.decide(&event(event_id), &app, &limits()).await
}

/// The error of a guest's decision.
pub(crate) async fn failure(guest: &Guest) -> DecideError {
    decide_about(guest, &[]).await.unwrap_err().error
}

/// A setting as a policy sees it.
pub(crate) fn visible(name: &str, value: VisibleValue) -> VisibleSetting {
    VisibleSetting {
        name: name.parse().unwrap(),
        value,
    }
}
