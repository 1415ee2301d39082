//! The work of an operator, with scripts and without.

use fantoccini::Locator;
use fantoccini::key::Key;

use crate::driver::{Chromium, Scripts};
use crate::site::usual;

/// From the overview to a failed run, and to its resubmission.
async fn resubmits(scripts: Scripts) {
    let site = usual().await.serve().await;
    let Some(browser) = Chromium::open(site, scripts).await else {
        return;
    };
    browser.shows("Needs attention").await;
    let url = browser.page.current_url().await.unwrap();
    assert!(
        url.query().is_none(),
        "the token is still in the address: {url}"
    );
    browser.picture("overview").await;
    let failed = browser
        .page
        .find(Locator::Css("a[href^='/runs/2']"))
        .await
        .unwrap();
    failed.click().await.unwrap();
    browser.shows("Website Contributor").await;
    browser.picture("run").await;
    browser.follow("Resubmit").await;
    browser.shows("What will happen").await;
    browser.picture("confirmation").await;
    browser.fill("why", "the role is there now").await;
    browser.press("Resubmit").await;
    browser.shows("1 events wait for the reconcile timer").await;
    browser.follow("Actions").await;
    browser.shows("the role is there now").await;
    browser.end().await;
}

#[tokio::test]
async fn a_failed_run_is_resubmitted_with_scripts() {
    resubmits(Scripts::On).await;
}

#[tokio::test]
async fn a_failed_run_is_resubmitted_without_scripts() {
    resubmits(Scripts::Off).await;
}

/// Holds and resumes a secret, finds it by its filters, verifies an app.
async fn operates(scripts: Scripts) {
    let site = usual().await.serve().await;
    let Some(browser) = Chromium::open(site, scripts).await else {
        return;
    };
    browser.follow("Fleet").await;
    browser.fill("secret", "sq*").await;
    browser.press("Show").await;
    browser.shows("Uses 1 to 2 of 2").await;
    browser.picture("fleet").await;
    browser.follow("contoso-kv/sql").await;
    browser.shows("What a rotation now would do").await;
    browser.picture("secret").await;
    browser.follow("Hold").await;
    browser.fill("why", "the freeze").await;
    browser.press("Hold").await;
    browser.shows("The secret is held.").await;
    browser.goto("/").await;
    browser.shows("Held secrets").await;
    browser.follow("contoso-kv/sql").await;
    browser
        .goto("/secrets/contoso-kv.vault.azure.net/sql")
        .await;
    browser.follow("Resume").await;
    browser.press("Resume").await;
    browser.shows("The secret is resumed.").await;
    browser.goto("/apps/s/g/orders").await;
    browser.follow("Verify now").await;
    browser.press("Verify now").await;
    browser
        .shows("The references of the app are read next")
        .await;
    browser.goto("/runs?since=1d").await;
    browser.follow("Resubmit all that failed").await;
    browser.press("Resubmit all").await;
    browser.shows("1 events wait").await;
    browser.follow("Policies").await;
    browser.follow("follow").await;
    browser.shows("Rules that use it").await;
    browser.end().await;
}

#[tokio::test]
async fn a_secret_is_held_and_resumed_with_scripts() {
    operates(Scripts::On).await;
}

#[tokio::test]
async fn a_secret_is_held_and_resumed_without_scripts() {
    operates(Scripts::Off).await;
}

#[tokio::test]
async fn the_keyboard_reaches_the_content_and_what_has_the_focus_is_seen() {
    let site = usual().await.serve().await;
    let Some(browser) = Chromium::open(site, Scripts::On).await else {
        return;
    };
    let body = browser.page.find(Locator::Css("body")).await.unwrap();
    body.send_keys(&char::from(Key::Tab).to_string())
        .await
        .unwrap();
    let active = browser.page.active_element().await.unwrap();
    assert_eq!(active.text().await.unwrap(), "Skip to the content");
    let outline = active.css_value("outline-style").await.unwrap();
    assert_eq!(outline, "solid");
    active
        .send_keys(&char::from(Key::Enter).to_string())
        .await
        .unwrap();
    let active = browser.page.active_element().await.unwrap();
    assert_eq!(active.attr("id").await.unwrap().as_deref(), Some("content"));
    browser.end().await;
}
