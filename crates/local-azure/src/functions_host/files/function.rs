//! One function, from its `function.json`.

use super::{FilesError, JsonFile};
use crate::functions_host::schedule::Schedule;

/// A function: its name and what makes it run.
#[derive(Debug, Clone)]
pub(in crate::functions_host) struct Function {
    /// The folder's name, which is the path under which the handler is called.
    pub(in crate::functions_host) name: String,
    /// The name of the trigger's binding, which is the key in `Data`.
    pub(in crate::functions_host) binding: String,
    pub(in crate::functions_host) trigger: Trigger,
}

/// What makes a function run.
#[derive(Debug, Clone)]
pub(in crate::functions_host) enum Trigger {
    /// `eventGridTrigger` with `"cardinality": "one"`, the default.
    Event,
    /// `eventGridTrigger` with `"cardinality": "many"`: all events of a delivery at once.
    Events,
    Timer {
        schedule: Schedule,
        run_on_startup: bool,
    },
    Http {
        /// Upper case; empty means all.
        methods: Vec<String>,
        /// Below the route prefix, with parameters in braces.
        route: String,
        /// Whether it is open to everybody.
        anonymous: bool,
        /// The name of the `http` output binding; `$return` stands for the return value.
        output: Option<String>,
    },
}

impl Function {
    pub(super) fn read(name: String, file: &JsonFile, environment: &[(String, String)]) -> Result<Self, FilesError> {
        let count = file.get("bindings").and_then(|bindings| bindings.as_array()).map_or(0, Vec::len);
        let mut trigger_at = None;
        let mut output = None;
        for index in 0..count {
            let kind = file.text(&format!("bindings.{index}.type"))?;
            if kind.to_ascii_lowercase().ends_with("trigger") {
                trigger_at = Some(index);
            } else if kind.eq_ignore_ascii_case("http") {
                output = Some(file.text(&format!("bindings.{index}.name"))?.to_owned());
            }
        }
        let index = trigger_at.ok_or_else(|| file.wrong("bindings", "a list with a trigger"))?;
        let field = |field: &str| format!("bindings.{index}.{field}");
        let kind = file.text(&field("type"))?;
        let trigger = if kind.eq_ignore_ascii_case("eventGridTrigger") {
            match file.get(&field("cardinality")).map(|cardinality| cardinality.as_str()) {
                None => Trigger::Event,
                Some(Some(one)) if one.eq_ignore_ascii_case("one") => Trigger::Event,
                Some(Some(many)) if many.eq_ignore_ascii_case("many") => Trigger::Events,
                Some(_) => return Err(file.wrong(&field("cardinality"), "`one` or `many`")),
            }
        } else if kind.eq_ignore_ascii_case("timerTrigger") {
            let text = file.text(&field("schedule"))?;
            let schedule = resolve(text, environment).and_then(|text| Schedule::parse(&text).ok());
            let expected = "a schedule of six fields, or the `%NAME%` of a setting that holds one";
            Trigger::Timer {
                schedule: schedule.ok_or_else(|| file.wrong(&field("schedule"), expected))?,
                run_on_startup: file.flag(&field("runOnStartup"))?,
            }
        } else if kind.eq_ignore_ascii_case("httpTrigger") {
            let route = file.get(&field("route")).map(|_| file.text(&field("route"))).transpose()?;
            let level = file.get(&field("authLevel")).map(|_| file.text(&field("authLevel"))).transpose()?;
            Trigger::Http {
                methods: file.texts(&field("methods"))?.iter().map(|method| method.to_ascii_uppercase()).collect(),
                route: route.unwrap_or(&name).to_owned(),
                anonymous: level.is_some_and(|level| level.eq_ignore_ascii_case("anonymous")),
                output,
            }
        } else {
            return Err(file.wrong(&field("type"), "`eventGridTrigger`, `timerTrigger` or `httpTrigger`"));
        };
        Ok(Self { binding: file.text(&field("name"))?.to_owned(), name, trigger })
    }
}

/// The text itself, or the value of the setting that it names as `%NAME%`.
fn resolve(text: &str, environment: &[(String, String)]) -> Option<String> {
    match text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) {
        None => Some(text.to_owned()),
        Some(setting) => environment.iter().find(|(name, _)| name == setting).map(|(_, value)| value.clone()),
    }
}
