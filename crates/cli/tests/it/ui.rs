//! `keyrelay ui`: the pages, as the command serves them.

use keyrelay_model::Verdict;

use crate::harness::{WorkingFolder, done, in_time, run};

/// A client that keeps no cookies, and follows nothing.
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.build().unwrap()
}

/// Begins the session of the address, and returns its cookie.
async fn begin(client: &reqwest::Client, url: &str) -> String {
    let begun = client.get(url).send().await.unwrap();
    assert_eq!(begun.status(), 303);
    let cookie = begun.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_printed_address_opens_the_pages_of_the_store() {
    let folder = WorkingFolder::new();
    let failed = run(
        "2026-11-02T10:00:00Z",
        "contoso-kv/sql",
        &[("orders", Verdict::RolledBack, "it did not resolve")],
    );
    folder.keep([&failed]).await;
    let arguments = ["--operator", "ada", "--read-only"];
    let mut ui = folder.start_program(&[&["ui"], &arguments[..]].concat());
    let url = ui.line().await;
    assert!(ui.note().await.contains("until Ctrl-C"));
    let origin = url.split("/?").next().unwrap().to_owned();
    assert!(origin.starts_with("http://127.0.0.1:"), "{url}");
    let client = client();
    let get = async |path: &str, cookie: &str| {
        let request = client
            .get(format!("{origin}{path}"))
            .header("cookie", cookie);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/", "").await.0, 401);
    assert_eq!(get("/?token=guess", "").await.0, 403);
    let cookie = begin(&client, &url).await;
    let (status, page) = get(&format!("/runs/{}", failed.id), &cookie).await;
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("it did not resolve") && page.contains("ada"),
        "{page}"
    );
    // Read-only: nothing leads to an action.
    assert!(!page.contains("/act/"), "{page}");
}

#[tokio::test]
async fn without_a_store_the_command_says_how_to_name_one() {
    let folder = WorkingFolder::new();
    let done = done(folder.program(&["ui", "--store", "missing"])).await;
    assert_eq!(done.code, Some(2), "{}", done.errors);
    assert!(done.errors.contains("--store"), "{}", done.errors);
}

#[tokio::test]
async fn the_overview_shows_what_doctor_finds() {
    let folder = WorkingFolder::new();
    let mut ui = folder.start_program(&["ui", "--doctor"]);
    let url = ui.line().await;
    let origin = url.split("/?").next().unwrap().to_owned();
    let client = client();
    let cookie = begin(&client, &url).await;
    let get = async |path: &str| {
        let request = client
            .get(format!("{origin}{path}"))
            .header("cookie", &cookie);
        request.send().await.unwrap().text().await.unwrap()
    };
    // The folder is no function app.
    let overview = async {
        loop {
            let page = get("/").await;
            if page.contains("/health") {
                break page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let overview = in_time(overview).await;
    assert!(overview.contains("host.json"), "{overview}");
    let health = get("/health").await;
    assert!(
        health.contains("Findings, worst first") && health.contains("host.json"),
        "{health}"
    );
}
