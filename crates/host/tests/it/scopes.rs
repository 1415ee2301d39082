//! Lists of sites that are slow, partial or cannot be read, and vaults that do not respond: each costs
//! its own part only.

use keyrelay_local_azure::{Effect, Fault, Service};

use crate::fixtures::reference;
use crate::harness::Harness;
use crate::setup::Setup;

const SITES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn sites(names: &[&str]) -> Setup {
    let settings = format!("SQL = \"{}\"", reference("sql"));
    names
        .iter()
        .fold(Setup::new(), |setup, name| setup.site(name, &settings))
        .ideal()
}

/// The fault of the lists of sites, and of nothing else.
fn of_lists(effect: Effect) -> Fault {
    Fault::new(Service::ResourceManager, effect).path("Microsoft.Web/sites$")
}

fn verified(app: &Harness) -> usize {
    let verdicts = app.verdicts();
    let is_verified = |name: &&&str| {
        let end = format!("/sites/{name}");
        let mut of_app = verdicts.iter().rev().filter(|line| {
            let app = line.get("app.id").and_then(|id| id.as_str());
            app.is_some_and(|id| id.ends_with(&end))
        });
        of_app
            .next()
            .is_some_and(|line| line["verdict"] == "verified")
    };
    SITES.iter().filter(is_verified).count()
}

#[tokio::test]
async fn a_list_of_sites_that_outlasts_a_delivery_goes_on_where_it_was() {
    let app = sites(&SITES)
        .configured("answer_within_ms = 8000")
        .with(|options| options.cloud.page_size = 1)
        .start()
        .await;
    // Two pages are in time, and the app of the second one has two seconds: one that is cut goes on in
    // the background.
    let slow = Effect::Delay {
        milliseconds: 2_400,
    };
    app.azure.cloud.switch_on(of_lists(slow));
    app.rotate_and_settle("sql").await;
    // The event is on record, and does not come back.
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
    let events = app.pending().into_iter();
    let events: Vec<_> = events
        .filter(|file| file.display().to_string().contains("pending/events"))
        .collect();
    assert_eq!(events.len(), 1, "{}", app.log());
    let postponed = std::fs::read_to_string(&events[0]).unwrap();
    assert!(postponed.contains("\"next\":\"http"), "{postponed}");
    let run = app.runs().remove(0);
    assert_eq!(run["ended"]["verdict"], "pending", "{run}");

    app.azure.cloud.switch_off_faults();
    let lists = app.lists();
    app.make_due();
    app.reconcile().await;
    assert_eq!(verified(&app), SITES.len(), "{}", app.log());
    assert!(app.pending().is_empty(), "{:?}", app.pending());
    // The apps and keyrelay's own are a page each.
    let all_pages = SITES.len() + 1;
    assert!(app.lists() - lists < all_pages);
}

#[tokio::test]
async fn a_scope_that_is_gone_ends_nothing_but_itself() {
    let gone = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/gone";
    let shop = gone.replace("gone", "shop");
    let app = sites(&["a"])
        .configured(&format!("scope = [\"{gone}\", \"{shop}\"]"))
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("a").0, "verified", "{}", app.log());
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
    let run = app.runs().remove(0);
    let ended = run["ended"]["message"].as_str().unwrap();
    assert!(ended.contains("/resourceGroups/gone"), "{ended}");
    assert!(app.pending().is_empty(), "{:?}", app.pending());

    // Nor does it end the comparison.
    app.reconcile_all().await;
    let summary = app.log();
    assert!(summary.contains("1 apps compared"), "{summary}");
    let kept = crate::harness::files_below(&app.store().join("pending/comparison"));
    let due: i64 = kept[0]
        .display()
        .to_string()
        .rsplit_once("--due-")
        .and_then(|(_, due)| due.trim_end_matches(".json").parse().ok())
        .unwrap();
    assert!(due > jiff::Timestamp::now().as_millisecond() + 60_000);
}

#[tokio::test]
async fn a_scope_that_the_sweep_could_not_list_is_listed_for_each_event_until_one_does() {
    let group = |name: &str| {
        format!("/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/{name}")
    };
    let settings = format!("SQL = \"{}\"", reference("sql"));
    let other =
        format!("[[site]]\nname = \"b\"\nresource_group = \"bills\"\nsettings = {{ {settings} }}");
    let scope = format!("scope = [\"{}\", \"{}\"]", group("shop"), group("bills"));
    let app = sites(&["a"]).also(&other).configured(&scope).start().await;
    let denied = Fault::new(
        Service::ResourceManager,
        Effect::status(500, "InternalServerError"),
    );
    app.azure
        .cloud
        .switch_on(denied.path("bills/providers/Microsoft.Web/sites$"));
    app.reconcile_all().await;
    app.azure.cloud.switch_off_faults();
    let lists = app.lists();
    app.rotate_and_settle("sql").await;
    for name in ["a", "b"] {
        assert_eq!(app.outcome(name).0, "verified", "{name}\n{}", app.log());
    }
    assert_eq!(app.lists() - lists, 1);
    let run = app.runs().pop().unwrap().to_string();
    assert!(run.contains("the last sweep did not list them"), "{run}");

    // The sweep that the event has requested lists both.
    app.reconcile().await;
    let lists = app.lists();
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("b").0, "verified", "{}", app.log());
    assert_eq!(app.lists(), lists);
}

#[tokio::test]
async fn a_scope_that_is_away_for_a_while_is_tried_again_on_its_own() {
    let app = sites(&["a"])
        .configured("answer_within_ms = 4000")
        .start()
        .await;
    let away = Effect::status(503, "ServiceUnavailable");
    app.azure.cloud.switch_on(of_lists(away));
    app.rotate_and_settle("sql").await;
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
    app.azure.cloud.switch_off_faults();
    app.make_due();
    app.reconcile().await;
    assert_eq!(app.outcome("a").0, "verified", "{}", app.log());
    assert!(app.pending().is_empty(), "{:?}", app.pending());
}

#[tokio::test]
async fn an_app_that_is_missing_from_one_list_is_not_dropped() {
    let app = sites(&["a", "b"]).start().await;
    app.reconcile_all().await;
    let partial = Effect::PartialList { keep: 0 };
    app.azure.cloud.switch_on(of_lists(partial));
    app.rotate_and_settle("sql").await;
    for name in ["a", "b"] {
        assert_eq!(app.outcome(name).0, "verified", "{name}\n{}", app.log());
    }
    // The comparison does not forget it either.
    app.reconcile_all().await;
    let summary = app.log();
    assert!(summary.contains("2 apps compared"), "{summary}");
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("b").0, "verified", "{}", app.log());
}

#[tokio::test]
async fn a_vault_that_does_not_respond_costs_two_attempts() {
    let app = sites(&["a"]).start().await;
    let black_hole = Fault::new(Service::KeyVault, Effect::Hang);
    app.azure.cloud.switch_on(black_hole);
    app.rotate_and_settle("sql").await;
    // Without the list, a refresh is the proof; and there is time left for it.
    assert_ne!(app.outcome("a").0, "failed", "{}", app.log());
    let requests = app.azure.cloud.requests();
    let to_vault = requests.iter().filter(|it| it.service == Service::KeyVault);
    assert_eq!(to_vault.count(), 2);
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
}
