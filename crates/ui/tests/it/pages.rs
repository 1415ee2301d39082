//! Every page, with a usual store and with an empty one.

use keyrelay_model::Verdict;
use keyrelay_records::Outcome;
use reqwest::header::CONTENT_TYPE;

use crate::browser::{Browser, links};
use crate::site::{
    CORRELATION, Folders, NEW, OLD, VAULT, app_id, failed, minutes, run, usual, verified,
};

#[track_caller]
fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no {part}: {page}");
    }
}

#[tokio::test]
async fn an_empty_store_has_pages_that_say_so() {
    let browser = Browser::open(Folders::new().serve().await).await;
    let page = browser.page("/").await;
    has(
        &page,
        &[
            "No sweep of all apps",
            "Nothing is broken or behind",
            "No run.",
            "2 policies",
        ],
    );
    has(
        &browser.page("/fleet").await,
        &["No use of a secret matches."],
    );
    has(&browser.page("/runs").await, &["No run matches."]);
    has(
        &browser.page("/actions").await,
        &["No operator has done anything"],
    );
    has(
        &browser.page("/policies").await,
        &["follow", "pin", "loads"],
    );
    for path in [
        "/runs/20261123T054539123Z-1f3a9c2d",
        "/runs/x",
        "/secrets/contoso-kv.vault.azure.net/none",
        "/secrets/x/y z",
        "/apps/s/g/none",
        "/apps/s/g/..%2Fx",
        "/policies/none",
        "/actions/20261123T054539123Z-1f3a9c2d",
        "/act/none",
        "/none",
    ] {
        let shown = browser.show(path).await;
        assert_eq!(shown.status, 404, "{path}");
        has(&shown.text, &["<h1>Not Found</h1>", "Back to the overview"]);
    }
}

#[tokio::test]
async fn the_overview_leads_to_a_failed_run_in_two_clicks() {
    let browser = Browser::open(usual().await.serve().await).await;
    let page = browser.page("/").await;
    has(
        &page,
        &[
            "Needs attention",
            "Website Contributor",
            "Resubmit them",
            "No work is overdue",
            "The newest run began",
            "The newest changes of apps",
        ],
    );
    let runs = links(&page, "/runs/2");
    let run = browser.page(&runs[0]).await;
    has(&run, &["failed", "Website Contributor", "Resubmit …"]);
}

#[tokio::test]
async fn the_fleet_is_filtered_by_its_address() {
    let browser = Browser::open(usual().await.serve().await).await;
    let page = browser.page("/fleet").await;
    has(
        &page,
        &[
            "Uses 1 to 3 of 3",
            "orders/staging",
            "billing",
            "pinned to",
            "refreshed twice",
        ],
    );
    for (query, count) in [
        ("state=behind", 1),
        ("state=behind&state=broken", 2),
        ("secret=sql", 2),
        ("secret=s*", 3),
        ("app=orders", 2),
        ("app=orders%2Fstaging", 1),
        ("vault=contoso-kv", 3),
        ("vault=other", 0),
        ("q=BILL", 1),
    ] {
        let page = browser.page(&format!("/fleet?{query}")).await;
        let caption = match count {
            0 => "No use of a secret matches.".to_owned(),
            count => format!("Uses 1 to {count} of {count}"),
        };
        has(&page, &[&caption]);
    }
    let page = browser.page("/fleet?secret=%3Cscript%3E").await;
    has(&page, &["is not a secret's name or pattern"]);
}

#[tokio::test]
async fn a_long_fleet_has_pages() {
    let folders = Folders::new();
    for number in 0..101 {
        folders
            .uses("sql", &format!("app-{number}"), None, Some(NEW))
            .await;
    }
    let browser = Browser::open(folders.serve().await).await;
    let page = browser.page("/fleet?state=fresh").await;
    has(&page, &["Uses 1 to 100 of 101", "Page 1 of 2"]);
    let next = links(&page, "/fleet?state=fresh&page=2");
    has(
        &browser.page(&next[0]).await,
        &["Uses 101 to 101 of 101", "Page 2 of 2"],
    );
}

#[tokio::test]
async fn a_secret_has_its_versions_users_rule_and_future() {
    let folders = usual().await;
    folders.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = 'contoso-kv/sql'\npolicy = 'follow'\ngrant = { set = ['SQL_*'] }\n\
         parameters = { note = 'planted-value-1' }\n",
    );
    let browser = Browser::open(folders.serve().await).await;
    let page = browser.page(&format!("/secrets/{VAULT}/sql")).await;
    has(
        &page,
        &[
            NEW,
            OLD,
            "2030-12-31",
            "Uses 1 to 2 of 2",
            "secret = &quot;contoso-kv/sql&quot;",
            "SQL_*",
            "500 ms, 64 MiB of memory",
            "refresh",
            "Hold …",
            "The newest runs",
        ],
    );
    // The app that is pinned is moved, and the other one refreshed.
    has(
        &page,
        &["/secrets/sql/next)", "the references are refreshed"],
    );
    assert!(!page.contains("planted"));
}

#[tokio::test]
async fn a_dry_run_says_what_the_mode_the_scope_and_a_broken_policy_mean() {
    let folders = usual().await;
    folders.write("policies/sql.wasm", "no policy");
    let browser = Browser::open(folders.serve().await).await;
    let path = format!("/secrets/{VAULT}/sql");
    let page = browser.page(&path).await;
    has(
        &page,
        &[
            "It would fail: the policy is quarantined",
            "not WebAssembly",
        ],
    );
    has(&browser.page("/").await, &["1 quarantined"]);
    let app = app_id("billing");
    let rule = |mode: &str| {
        format!("[[rotation]]\nsecret = 'sql'\npolicy = 'pin'\nmode = '{mode}'\napps = ['{app}']\n")
    };
    browser
        .site
        .folders
        .write("keyrelay.toml", &rule("monitor"));
    has(
        &browser.page(&path).await,
        &["It would only be recorded", "the rule names other apps"],
    );
    browser.site.folders.write("keyrelay.toml", &rule("off"));
    has(&browser.page(&path).await, &["the mode is `off`"]);
    browser.site.folders.write("keyrelay.toml", "mod = 1");
    has(
        &browser.page(&path).await,
        &["keyrelay.toml cannot be read", "mod"],
    );
}

#[tokio::test]
async fn an_app_has_its_secrets_and_runs() {
    let browser = Browser::open(usual().await.serve().await).await;
    let page = browser.page("/apps/s/g/orders").await;
    has(
        &page,
        &[
            "Its references, worst first",
            "contoso-kv/sql",
            "The newest runs",
            "Verify now …",
            "None.",
        ],
    );
    let page = browser.page("/apps/s/g/ORDERS/slots/Staging").await;
    has(
        &page,
        &["contoso-kv/storage", "broken", "<h1>orders/staging</h1>"],
    );
}

#[tokio::test]
async fn runs_are_filtered_and_paged() {
    let folders = Folders::new();
    for number in 0..55 {
        folders
            .keep(&run(minutes(60 + number), "sql", &[("orders", verified())]))
            .await;
    }
    folders
        .keep(&run(minutes(1), "storage", &[("billing", failed())]))
        .await;
    let browser = Browser::open(folders.serve().await).await;
    let page = browser.page("/runs").await;
    assert_eq!(links(&page, "/runs/2").len(), 50);
    let older = links(&page, "/runs?before=").remove(0);
    let page = browser.page(&older).await;
    assert_eq!(links(&page, "/runs/2").len(), 6);
    has(&page, &["Newest"]);
    for (query, count) in [
        ("verdict=failed", 1),
        ("verdict=verified&since=70m", 10),
        ("secret=st*", 1),
        ("app=billing", 1),
        ("cause=drift", 0),
        ("vault=other", 0),
        ("since=30m", 1),
    ] {
        let page = browser.page(&format!("/runs?{query}")).await;
        assert_eq!(links(&page, "/runs/2").len(), count, "{query}");
    }
    has(
        &browser.page("/runs?since=yesterday").await,
        &["write an age"],
    );
}

#[tokio::test]
async fn a_live_list_asks_again_with_and_without_scripts() {
    let browser = Browser::open(usual().await.serve().await).await;
    let page = browser.page("/runs?live=1").await;
    has(
        &page,
        &[
            "hx-trigger=\"every 2s\"",
            "<noscript><meta http-equiv=\"refresh\"",
            "Stop",
        ],
    );
    let page = browser.page("/runs").await;
    assert!(!page.contains("hx-trigger") && !page.contains("refresh\""));
    has(&page, &["Follow new runs"]);
}

#[tokio::test]
async fn a_run_is_a_timeline_with_the_failures_first() {
    let folders = Folders::new();
    let pending = Outcome::new(Verdict::Pending, "not confirmed yet");
    let rotations = [
        ("orders", verified()),
        ("late", pending),
        ("billing", failed()),
    ];
    let id = folders.keep(&run(minutes(3), "sql", &rotations)).await;
    let browser = Browser::open(folders.serve().await).await;
    let page = browser.page(&format!("/runs/{id}")).await;
    has(
        &page,
        &[
            "Microsoft.KeyVault.SecretNewVersionCreated",
            "The event as JSON",
            "&quot;vault_host&quot;",
            "1 failed, 1 pending, 1 verified",
            "verified (active version)",
            "<del>",
            "<ins>",
            "stdout: one setting to move",
            "sent 2 times",
            "request-1",
            CORRELATION,
            "https://portal.azure.com/#blade/Microsoft_Azure_ActivityLog",
            "hx-trigger=\"every 2s\"",
        ],
    );
    let order: Vec<usize> = ["billing", "late", "orders"]
        .map(|app| page.find(&format!("/apps/s/g/{app}\"")).unwrap())
        .into();
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test]
async fn a_run_of_many_apps_has_pages() {
    let folders = Folders::new();
    let names: Vec<String> = (0..60).map(|number| format!("app-{number}")).collect();
    let rotations: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), verified()))
        .collect();
    let id = folders.keep(&run(minutes(3), "sql", &rotations)).await;
    let browser = Browser::open(folders.serve().await).await;
    let page = browser.page(&format!("/runs/{id}")).await;
    has(&page, &["60 verified", "Page 1 of 3"]);
    assert_eq!(page.matches("<article").count(), 25);
    let page = browser.page(&format!("/runs/{id}?page=3")).await;
    assert_eq!(page.matches("<article").count(), 10);
}

#[tokio::test]
async fn policies_show_what_they_are_and_who_uses_them() {
    let folders = Folders::new();
    folders.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = 'sql-*'\npolicy = 'pin'\nlimits = { time_ms = 7 }\n",
    );
    folders.write("policies/bad.wasm", "x");
    let browser = Browser::open(folders.serve().await).await;
    has(
        &browser.page("/policies").await,
        &["quarantined", "policies.lock does not apply"],
    );
    let page = browser.page("/policies/pin").await;
    has(
        &page,
        &[
            "NewVersionCreated",
            "secret = &quot;sql-*&quot;",
            "7 ms",
            "Digest",
        ],
    );
    has(
        &browser.page("/policies/follow").await,
        &[
            "secrets that have no policy of their own",
            "1 of 2 cases pass.",
            "good-case",
            "bad-case: expected &lt;b&gt;refresh&lt;/b&gt;",
        ],
    );
    has(
        &page,
        &["Its project, with its cases, is not in the folder."],
    );
    has(
        &browser.page("/policies/bad").await,
        &["Quarantined", "not WebAssembly"],
    );
}

#[tokio::test]
async fn assets_are_in_the_program() {
    let browser = Browser::open(Folders::new().serve().await).await;
    let page = browser.page("/").await;
    for (begin, content_type) in [
        ("/assets/style.css?v=", "text/css; charset=utf-8"),
        ("/assets/icon.svg?v=", "image/svg+xml"),
    ] {
        let link = links(&page, begin).remove(0);
        let shown = browser.show(&link).await;
        assert_eq!(shown.headers[CONTENT_TYPE], content_type);
        assert!(shown.text.len() > 100);
    }
}
