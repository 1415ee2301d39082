//! Another writer who changes the settings right before our write: Azure then replaces the change, and
//! keyrelay restores it, or says that it is lost.

use std::time::Duration;

use keyrelay_local_azure::{Intercept, Moment, Service, Then};

use crate::fixtures::{PLANTED, reference};
use crate::harness::Harness;
use crate::setup::Setup;

const LIST: &str = "config/appsettings/list";
const WRITE: &str = "orders/config/appsettings";

/// Far more than are sent.
const MANY: usize = 40;

fn intercept(moment: Moment, method: &str, path: &str, nth: usize) -> Intercept {
    Intercept::new(Service::ResourceManager, moment)
        .method(method)
        .path(path)
        .nth(nth)
}

/// Writes the setting right after the `nth` read from now on, and lets the following write wait until
/// the read that is sent together with it has seen that.
fn changes_after_read(app: &Harness, nth: usize, setting: &str) {
    let (writer, setting) = (app.azure.cloud.writer("them"), setting.to_owned());
    let read = intercept(Moment::CarriedOut, "POST", LIST, nth);
    app.azure.cloud.intercept(read, move || async move {
        let value = format!("{PLANTED}{setting}");
        writer.set("orders", &setting, value).unwrap();
        Then::GoOn
    });
}

/// Lets every write wait until the read that is sent together with it is carried out.
fn slow_writes(app: &Harness) {
    for nth in 1..=MANY {
        let write = intercept(Moment::Arrived, "PUT", WRITE, nth);
        app.azure.cloud.intercept(write, || async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Then::GoOn
        });
    }
}

/// Breaks the connections of all requests from the `nth` on.
fn breaks_from(app: &Harness, method: &str, path: &str, nth: usize) {
    for nth in nth..nth + MANY {
        let request = intercept(Moment::Arrived, method, path, nth);
        let cut = || async { Then::Drop };
        app.azure.cloud.intercept(request, cut);
    }
}

async fn start() -> Harness {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured("answer_within_ms = 4000\n[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .ideal()
        .start()
        .await;
    app.settled().await;
    app
}

/// All notes on record.
fn notes(app: &Harness) -> Vec<String> {
    let runs = app.runs();
    let rotations = runs.iter().flat_map(|run| run["rotations"].as_array());
    let notes = rotations.flatten().filter_map(|it| it["notes"].as_array());
    notes
        .flatten()
        .map(|note| note.as_str().unwrap().to_owned())
        .collect()
}

/// Goes on with what is pending, without a disturbance.
async fn go_on(app: &Harness) {
    app.azure.cloud.clear_intercepts();
    app.make_due();
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert!(app.pending().is_empty(), "{:?}", app.pending());
}

#[tokio::test]
async fn two_changes_in_a_row_are_both_restored() {
    let app = start().await;
    slow_writes(&app);
    // The reads before the first write, and those before the write that restores.
    changes_after_read(&app, 2, "FIRST");
    changes_after_read(&app, 5, "SECOND");
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    let settings = app.settings("orders");
    for setting in ["FIRST", "SECOND"] {
        let theirs = format!("{PLANTED}{setting}");
        assert_eq!(settings.get(setting), Some(&theirs), "{}", app.log());
    }
    let notes = notes(&app);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("restored"), "{notes:?}");
    assert!(app.writes() > 4, "{} writes", app.writes());
}

#[tokio::test]
async fn a_change_that_cannot_be_restored_is_on_record_as_lost() {
    let app = start().await;
    slow_writes(&app);
    changes_after_read(&app, 2, "THEIRS");
    breaks_from(&app, "PUT", WRITE, 2);
    app.rotate_and_settle("sql").await;
    assert!(!app.settings("orders").contains_key("THEIRS"));
    let is_lost = |note: &String| note.contains("are lost: set THEIRS again");
    assert!(notes(&app).iter().any(is_lost), "{}", app.log());
    go_on(&app).await;
    assert!(notes(&app).iter().any(is_lost), "{}", app.log());
}

#[tokio::test]
async fn a_change_of_which_nobody_knows_whether_it_is_overwritten_is_on_record_as_lost() {
    let app = start().await;
    slow_writes(&app);
    changes_after_read(&app, 2, "THEIRS");
    breaks_from(&app, "POST", LIST, 4);
    app.rotate_and_settle("sql").await;
    // The run ends, and the write is read back for some seconds more.
    app.until("the end of the write", |app| app.log().contains("are lost"))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let is_lost = |note: &String| note.contains("are lost: set THEIRS again");
    go_on(&app).await;
    assert!(notes(&app).iter().any(is_lost), "{}", app.log());
}
