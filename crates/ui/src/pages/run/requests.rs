//! Requests to Azure, with the ids that its support asks for.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_records::AzureRequest;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::page::{self, duration, time};

/// The time before and after a request in which its activity log is searched.
const AROUND: Duration = Duration::from_hours(1);

/// Azure's portal, whose activity log finds a request by its correlation id.
#[derive(Debug)]
pub(crate) struct Portal(&'static str);

impl Portal {
    /// The portal of the cloud whose vaults have this suffix. None: that of a custom cloud is unknown.
    pub(crate) fn of(vault_suffix: &str) -> Option<Self> {
        match vault_suffix {
            "vault.azure.net" => Some(Self("https://portal.azure.com")),
            "vault.usgovcloudapi.net" => Some(Self("https://portal.azure.us")),
            "vault.azure.cn" => Some(Self("https://portal.azure.cn")),
            _ => None,
        }
    }

    /// The activity log of the hours around a request, searched for its correlation id.
    fn link(&self, correlation_id: &str, at: Timestamp) -> String {
        let moment = |time: Result<Timestamp, jiff::Error>| format!("{:.0}", time.unwrap_or(at));
        let query = serde_json::json!({ "query": {
            "searchString": correlation_id,
            // A period of its own.
            "timeSpan": "3",
            "startTime": moment(at.checked_sub(AROUND)),
            "endTime": moment(at.checked_add(AROUND)),
        }});
        let query = utf8_percent_encode(&query.to_string(), NON_ALPHANUMERIC).to_string();
        format!(
            "{}/#blade/Microsoft_Azure_ActivityLog/ActivityLogBlade/queryInputs/{query}",
            self.0
        )
    }
}

pub(crate) fn table(caption: &str, requests: &[AzureRequest], portal: Option<&Portal>) -> Markup {
    page::table(
        caption,
        &["Time", "Request", "Status", "Took", "Ids"],
        html! { @for request in requests { (row(request, portal)) } },
    )
}

fn row(request: &AzureRequest, portal: Option<&Portal>) -> Markup {
    html! {
        tr {
            td { (time(request.at)) }
            td { (request.operation) br; small.break { (request.subject) } }
            td {
                @match request.status { Some(status) => (status), None => "no response" }
                @if request.attempts > 1 { br; small { "sent " (request.attempts) " times" } }
            }
            td.number { (duration(request.duration_ms)) }
            td {
                @if let Some(id) = &request.request_id { small { "request " code.break { (id) } } }
                @if let Some(id) = &request.correlation_id {
                    br;
                    small {
                        "correlation "
                        @match portal {
                            Some(portal) => a href=(portal.link(id, request.at)) rel="noreferrer" { code.break { (id) } },
                            None => code.break { (id) },
                        }
                    }
                }
            }
        }
    }
}
