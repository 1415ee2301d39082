//! One function, from its `function.json`.

use serde_json::Value;

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
    pub(super) fn read(
        name: String,
        file: &JsonFile,
        environment: &[(String, String)],
    ) -> Result<Self, FilesError> {
        let bindings = Bindings::find(file)?;
        let trigger = match bindings.trigger_type.to_ascii_lowercase().as_str() {
            "eventgridtrigger" => bindings.event_trigger()?,
            "timertrigger" => bindings.timer_trigger(environment)?,
            "httptrigger" => bindings.http_trigger(&name)?,
            _ => {
                return Err(bindings.wrong(
                    "type",
                    "`eventGridTrigger`, `timerTrigger` or `httpTrigger`",
                ));
            }
        };
        Ok(Self {
            binding: file.text(&bindings.field("name"))?.to_owned(),
            name,
            trigger,
        })
    }
}

/// The bindings of a `function.json`.
struct Bindings<'a> {
    file: &'a JsonFile,
    trigger_index: usize,
    trigger_type: &'a str,
    /// The name of the `http` output binding.
    http_output: Option<&'a str>,
}

impl<'a> Bindings<'a> {
    fn find(file: &'a JsonFile) -> Result<Self, FilesError> {
        let count = file
            .get("bindings")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        let (mut trigger, mut http_output) = (None, None);
        for index in 0..count {
            let kind = file.text(&format!("bindings.{index}.type"))?;
            if kind.to_ascii_lowercase().ends_with("trigger") {
                trigger = Some((index, kind));
            } else if kind.eq_ignore_ascii_case("http") {
                http_output = Some(file.text(&format!("bindings.{index}.name"))?);
            }
        }
        let (trigger_index, trigger_type) =
            trigger.ok_or_else(|| file.wrong("bindings", "a list with a trigger"))?;
        Ok(Self {
            file,
            trigger_index,
            trigger_type,
            http_output,
        })
    }

    fn event_trigger(&self) -> Result<Trigger, FilesError> {
        let cardinality = self
            .file
            .optional_text(&self.field("cardinality"))?
            .unwrap_or("one");
        match cardinality.to_ascii_lowercase().as_str() {
            "one" => Ok(Trigger::Event),
            "many" => Ok(Trigger::Events),
            _ => Err(self.wrong("cardinality", "`one` or `many`")),
        }
    }

    fn timer_trigger(&self, environment: &[(String, String)]) -> Result<Trigger, FilesError> {
        let text = resolve(self.file.text(&self.field("schedule"))?, environment);
        let schedule = text.and_then(|text| Schedule::parse(text).ok());
        let expected = "a schedule of six fields, or the `%NAME%` of a setting that holds one";
        Ok(Trigger::Timer {
            schedule: schedule.ok_or_else(|| self.wrong("schedule", expected))?,
            run_on_startup: self.file.flag(&self.field("runOnStartup"))?,
        })
    }

    fn http_trigger(&self, name: &str) -> Result<Trigger, FilesError> {
        let methods = self.file.texts(&self.field("methods"))?;
        let level = self.file.optional_text(&self.field("authLevel"))?;
        Ok(Trigger::Http {
            methods: methods
                .iter()
                .map(|method| method.to_ascii_uppercase())
                .collect(),
            route: self
                .file
                .optional_text(&self.field("route"))?
                .unwrap_or(name)
                .to_owned(),
            anonymous: level.is_some_and(|level| level.eq_ignore_ascii_case("anonymous")),
            output: self.http_output.map(str::to_owned),
        })
    }

    /// The path of a field of the trigger.
    fn field(&self, name: &str) -> String {
        format!("bindings.{}.{name}", self.trigger_index)
    }

    fn wrong(&self, name: &str, expected: &'static str) -> FilesError {
        self.file.wrong(&self.field(name), expected)
    }
}

/// The text itself, or the value of the setting that it names as `%NAME%`.
fn resolve<'a>(text: &'a str, environment: &'a [(String, String)]) -> Option<&'a str> {
    match text
        .strip_prefix('%')
        .and_then(|rest| rest.strip_suffix('%'))
    {
        None => Some(text),
        Some(setting) => environment
            .iter()
            .find(|(name, _)| name == setting)
            .map(|(_, value)| value.as_str()),
    }
}
