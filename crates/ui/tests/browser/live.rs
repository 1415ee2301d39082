//! Pages that change by themselves.

use fantoccini::Locator;
use keyrelay_model::Verdict;
use keyrelay_records::Outcome;

use crate::driver::{Chromium, Scripts};
use crate::site::{failed, minutes, run, usual, verified};

/// A new run appears in the live list, without a reload by the user.
async fn follows(scripts: Scripts) {
    let site = usual().await.serve().await;
    let Some(browser) = Chromium::open(site, scripts).await else {
        return;
    };
    browser.goto("/runs").await;
    browser.follow("Follow new runs").await;
    browser.shows("Stop").await;
    assert!(!browser.text().await.contains("brand-new"));
    let new = run(minutes(0), "brand-new", &[("orders", failed())]);
    browser.site.folders.keep(&new).await;
    browser.shows("brand-new").await;
    browser.end().await;
}

#[tokio::test]
async fn a_new_run_appears_with_scripts() {
    follows(Scripts::On).await;
}

#[tokio::test]
async fn a_new_run_appears_without_scripts() {
    follows(Scripts::Off).await;
}

#[tokio::test]
async fn a_pending_run_turns_green_and_open_details_stay_open() {
    let folders = usual().await;
    let pending = Outcome::new(Verdict::Pending, "not confirmed yet");
    let id = folders
        .keep(&run(minutes(0), "sql", &[("orders", pending)]))
        .await;
    let site = folders.serve().await;
    let Some(browser) = Chromium::open(site, Scripts::On).await else {
        return;
    };
    browser.goto(&format!("/runs/{id}")).await;
    browser.shows("not confirmed yet").await;
    let details = browser
        .page
        .find(Locator::Css("details summary"))
        .await
        .unwrap();
    details.click().await.unwrap();
    browser.shows("\"vault_host\"").await;
    let history = browser.site.folders.history();
    let amended = history.amend(&id, |run| {
        run.rotations[0].outcome = verified();
    });
    amended.await.unwrap();
    browser.shows("verified (active version)").await;
    browser.shows("\"vault_host\"").await;
    browser.end().await;
}

#[tokio::test]
async fn a_live_list_stays_when_its_session_ends() {
    let site = usual().await.serve().await;
    let Some(browser) = Chromium::open(site, Scripts::On).await else {
        return;
    };
    browser.goto("/runs?live=1").await;
    browser.shows("Website Contributor").await;
    browser.page.delete_all_cookies().await.unwrap();
    // Two rounds of its requests, which are refused.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    browser.shows("Website Contributor").await;
    browser.end().await;
}
