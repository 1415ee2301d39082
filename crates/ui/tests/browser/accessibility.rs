//! axe-core on every page, light and dark, narrow and wide.

use serde_json::Value;

use crate::driver::{Chromium, Colours, Scripts, Window};
use crate::site::{VAULT, failed, minutes, run, usual, verified};

const AXE: &str = include_str!("../vendor/axe-core/dist/axe.min.js");

const RUN_AXE: &str = "const done = arguments[arguments.length - 1];
    axe.run(document, { resultTypes: ['violations'] }).then(
        (results) => done(results.violations.map((it) =>
            [it.id, it.help, it.nodes.slice(0, 5).map((node) => node.html + ' ' + node.failureSummary)])),
        (error) => done([['axe', String(error), []]]),
    );";

async fn check(window: Window, colours: Colours, pictures: &str) {
    let folders = usual().await;
    folders.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = 'sql'\ngrant = { set = ['A'] }\nvault = 'contoso-kv'\n",
    );
    folders.write("policies/broken.wasm", "x");
    let outcomes = [("orders", verified()), ("billing", failed())];
    let id = folders.keep(&run(minutes(2), "sql", &outcomes)).await;
    let site = folders.serve().await;
    let Some(browser) = Chromium::with(site, Scripts::On, window, colours).await else {
        return;
    };
    let hold = format!("/act/hold?vault={VAULT}&secret=sql");
    let pages = [
        ("overview", "/"),
        ("health", "/health"),
        ("fleet", "/fleet"),
        ("nothing", "/fleet?secret=%3C"),
        ("secret", &format!("/secrets/{VAULT}/sql")),
        ("app", "/apps/s/g/orders"),
        ("runs", "/runs?live=1&since=1d"),
        ("run", &format!("/runs/{id}")),
        ("policies", "/policies"),
        ("policy", "/policies/follow"),
        ("broken-policy", "/policies/broken"),
        ("actions", "/actions"),
        ("confirmation", &hold),
        ("missing", "/none"),
    ];
    for (name, path) in pages {
        browser.goto(path).await;
        browser.picture(&format!("{pictures}-{name}")).await;
        browser.page.execute(AXE, Vec::new()).await.unwrap();
        let found = browser
            .page
            .execute_async(RUN_AXE, Vec::new())
            .await
            .unwrap();
        let found = found.as_array().unwrap().clone();
        assert!(found.is_empty(), "{path}: {:#}", Value::Array(found));
        // A narrow window scrolls its tables, and not the page.
        let wider =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let wider = browser.page.execute(wider, Vec::new()).await.unwrap();
        assert!(
            wider.as_i64().unwrap() <= 0,
            "{path} is too wide: {}",
            wider
        );
    }
    browser.end().await;
}

#[tokio::test]
async fn axe_finds_nothing_in_a_wide_light_window() {
    check(Window::Wide, Colours::Light, "light").await;
}

#[tokio::test]
async fn axe_finds_nothing_in_a_wide_dark_window() {
    check(Window::Wide, Colours::Dark, "dark").await;
}

#[tokio::test]
async fn axe_finds_nothing_in_a_narrow_window() {
    check(Window::Narrow, Colours::Light, "narrow").await;
}
