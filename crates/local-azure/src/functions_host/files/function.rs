//! Functions, read from `function.json`.

use serde_json::Value;

use super::error::FilesError;
use super::json_file::JsonFile;
use crate::functions_host::schedule::Schedule;

/// A function and its trigger.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    /// The folder's name, which is also the path of the call to the handler.
    pub(crate) name: String,
    /// The name of the trigger's binding, which is the key in `Data`.
    pub(crate) binding: String,
    pub(crate) trigger: FunctionTrigger,
}

/// The trigger of a function.
#[derive(Debug, Clone)]
pub(crate) enum FunctionTrigger {
    /// `eventGridTrigger` with `"cardinality": "one"`, the default.
    Event,
    /// `eventGridTrigger` with `"cardinality": "many"`: all events of a delivery in one invocation.
    Events,
    Timer {
        schedule: Schedule,
        run_on_startup: bool,
    },
    Http {
        /// Methods in upper case. An empty list means all.
        methods: Vec<String>,
        /// The route below the prefix, with parameters in braces.
        route: String,
        /// Whether a call needs no key.
        anonymous: bool,
        /// The name of the `http` output binding. `$return` is the return value.
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

    fn event_trigger(&self) -> Result<FunctionTrigger, FilesError> {
        let cardinality = self
            .file
            .optional_text(&self.field("cardinality"))?
            .unwrap_or("one");
        match cardinality.to_ascii_lowercase().as_str() {
            "one" => Ok(FunctionTrigger::Event),
            "many" => Ok(FunctionTrigger::Events),
            _ => Err(self.wrong("cardinality", "`one` or `many`")),
        }
    }

    fn timer_trigger(
        &self,
        environment: &[(String, String)],
    ) -> Result<FunctionTrigger, FilesError> {
        let text = resolve(self.file.text(&self.field("schedule"))?, environment);
        let schedule = text.and_then(|text| Schedule::parse(text).ok());
        let expected = "a schedule of six fields, or the `%NAME%` of a setting that holds one";
        Ok(FunctionTrigger::Timer {
            schedule: schedule.ok_or_else(|| self.wrong("schedule", expected))?,
            run_on_startup: self.file.flag(&self.field("runOnStartup"))?,
        })
    }

    fn http_trigger(&self, name: &str) -> Result<FunctionTrigger, FilesError> {
        let methods = self.file.texts(&self.field("methods"))?;
        let level = self.file.optional_text(&self.field("authLevel"))?;
        Ok(FunctionTrigger::Http {
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

/// The text itself, or the value of the setting in `%NAME%`.
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
