#![doc = include_str!("../README.md")]

use keyrelay_policy::{
    App, Decision, Event, NewValue, Occurrence, Patch, Policy, Reference, Value, View,
};

/// The scripted policy.
#[derive(Debug)]
pub struct Scripted;

impl Policy for Scripted {
    const VIEW: View = View::Settings;
    const OCCURRENCES: &'static [Occurrence] = &[
        Occurrence::NewVersionCreated,
        Occurrence::NearExpiry,
        Occurrence::Expired,
        Occurrence::ExpiryReminder,
    ];

    fn decide(event: Event, app: App) -> Result<Decision, String> {
        let script = app
            .parameter("script")
            .ok_or("the parameter `script` is missing")?;
        let mut patch = Patch {
            set: Vec::new(),
            remove: Vec::new(),
        };
        for line in script.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                ["refresh"] => return Ok(Decision::Refresh),
                ["set", name, "pin"] => {
                    let version = event.version.as_deref().ok_or("the event has no version")?;
                    let reference = Reference::to(&event.vault_host, &event.name).at(version);
                    patch
                        .set
                        .push(((*name).to_owned(), NewValue::Reference(reference)));
                }
                ["set", name, "reference", host, secret] => {
                    patch.set.push((
                        (*name).to_owned(),
                        NewValue::Reference(Reference::to(host, secret)),
                    ));
                }
                ["set", name, "text", value] => {
                    patch
                        .set
                        .push(((*name).to_owned(), NewValue::Text((*value).to_owned())));
                }
                ["remove", "named", "like", name] => {
                    let setting = app.settings.iter().find(|setting| setting.name == *name);
                    if let Some(Value::Text(text)) = setting.map(|setting| &setting.value) {
                        patch.remove.push(text.clone());
                    }
                }
                ["tell", "escaped", name] => {
                    return Ok(Decision::Notice(format!("{:?}", visible(&app, name))));
                }
                ["remove", name] => patch.remove.push((*name).to_owned()),
                ["notice", text] => return Ok(Decision::Notice((*text).to_owned())),
                ["tell", name] => return Ok(Decision::Notice(visible(&app, name))),
                ["fail", name] => return Err(visible(&app, name)),
                #[expect(clippy::panic, reason = "the script requests a panic")]
                ["panic", name] => panic!("{}", visible(&app, name)),
                ["loop"] => loop {
                    std::hint::spin_loop();
                },
                _ => return Err(format!("`{line}` is not a command")),
            }
        }
        Ok(Decision::Patch(patch))
    }
}

/// Describes the visible part of a setting.
fn visible(app: &App, name: &str) -> String {
    match app
        .settings
        .iter()
        .find(|setting| setting.name == name)
        .map(|setting| &setting.value)
    {
        None => format!("{name} is absent"),
        Some(Value::Reference(reference)) => format!("{name} references {}", reference.secret),
        Some(Value::Text(text)) => format!("{name} is {text}"),
        Some(Value::Withheld) => format!("{name} is withheld"),
    }
}

keyrelay_policy::export!(Scripted);
