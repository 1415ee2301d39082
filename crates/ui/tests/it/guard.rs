//! Refusals: foreign hosts, requests without a session, forms of other sites.

use reqwest::header::{HOST, LOCATION, ORIGIN, SET_COOKIE};

use crate::browser::{Browser, Shown, client, hidden_fields};
use crate::site::{Folders, usual};

#[tokio::test]
async fn a_foreign_host_gets_nothing() {
    let browser = Browser::open(usual().await.serve().await).await;
    for host in [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example",
        "",
    ] {
        for path in [
            "/",
            "/fleet",
            "/assets/style.css",
            browser.site.begin.as_str(),
        ] {
            let shown = Shown::of(browser.request(path).header(HOST, host)).await;
            assert_eq!(
                shown.status,
                if host.is_empty() { shown.status } else { 403 },
                "{host}"
            );
            assert!(shown.status >= 400, "{host} {path}");
            assert!(!shown.headers.contains_key(SET_COOKIE));
        }
    }
}

#[tokio::test]
async fn without_a_session_there_is_a_plain_message_and_no_page() {
    let site = usual().await.serve().await;
    let get = |path: &str| Shown::of(client().get(format!("{}{path}", site.origin)));
    for path in [
        "/",
        "/fleet",
        "/runs",
        "/evidence",
        "/act/hold",
        "/assets/style.css",
        "/x",
    ] {
        let shown = get(path).await;
        assert_eq!(shown.status, 401, "{path}");
        assert!(shown.text.contains("keyrelay ui"), "{}", shown.text);
        assert!(!shown.text.contains('<') && !shown.text.contains("orders"));
        assert!(
            shown.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/plain")
        );
    }
    assert_eq!(get("/?token=wrong").await.status, 403);
}

#[tokio::test]
async fn the_token_leaves_the_address() {
    let site = usual().await.serve().await;
    let token = site.begin.strip_prefix("/?").unwrap();
    let url = format!("{}/fleet?state=broken&{token}", site.origin);
    let shown = Shown::of(client().get(url)).await;
    assert_eq!(shown.status, 303);
    assert_eq!(shown.headers[LOCATION], "/fleet?state=broken");
    let cookie = shown.headers[SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    assert!(!cookie.contains(token.strip_prefix("token=").unwrap()));
}

#[tokio::test]
async fn every_response_has_a_strict_policy() {
    let browser = Browser::open(usual().await.serve().await).await;
    for path in [
        "/",
        "/fleet",
        "/x",
        "/evidence",
        "/assets/htmx.js",
        "/assets/none",
    ] {
        let shown = browser.show(path).await;
        let header = |name: &str| shown.headers[name].to_str().unwrap();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{path}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        let keeps = path == "/assets/htmx.js";
        assert_eq!(header("cache-control") == "no-store", !keeps, "{path}");
    }
}

#[tokio::test]
async fn pages_have_nothing_inline_and_nothing_of_others() {
    let browser = Browser::open(usual().await.serve().await).await;
    for path in ["/", "/fleet", "/runs?live=1", "/policies", "/actions"] {
        let page = browser.page(path).await;
        for inline in ["<style", " style=", "javascript:", " onclick", " on"] {
            let found =
                page.contains(&format!("{inline}=")) || (inline.len() > 4 && page.contains(inline));
            assert!(!found, "{path} has {inline}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{path}");
        assert!(page.contains("<script src=\"/assets/htmx.js?v="));
        assert!(
            !page.contains("=\"http://") && !page.contains("=\"//"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_form_of_another_site_or_session_does_nothing() {
    let browser = Browser::open(usual().await.serve().await).await;
    let link = "/act/hold?vault=contoso-kv.vault.azure.net&secret=sql";
    let mut form = hidden_fields(&browser.page(link).await);
    form.push(("why".to_owned(), "a freeze".to_owned()));
    let ours = browser.site.origin.as_str();
    let foreign = [
        vec![],
        vec![(ORIGIN.as_str(), "http://evil.example")],
        vec![(ORIGIN.as_str(), "null")],
        vec![(ORIGIN.as_str(), ours), ("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
    ];
    for headers in foreign {
        let mut request = browser.form("/act/hold", &form);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        assert_eq!(Shown::of(request).await.status, 403, "{headers:?}");
    }
    let without_token: Vec<_> = form
        .iter()
        .filter(|(name, _)| name != "token")
        .cloned()
        .collect();
    assert_eq!(browser.send("/act/hold", &without_token).await.status, 403);
    let other = Browser::open(usual().await.serve().await).await;
    let token = hidden_fields(&other.page(link).await).remove(0);
    let with_other: Vec<_> = without_token.iter().cloned().chain([token]).collect();
    let refused = browser.send("/act/hold", &with_other).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("another session"), "{}", refused.text);
    assert!(
        browser
            .page("/actions")
            .await
            .contains("No operator has done anything")
    );
    assert_eq!(browser.send("/act/hold", &form).await.status, 303);
}

#[tokio::test]
async fn read_only_pages_have_no_actions_and_refuse_them() {
    let browser = Browser::open(usual().await.serve_read_only().await).await;
    for path in [
        "/",
        "/runs?since=1d",
        "/secrets/contoso-kv.vault.azure.net/sql",
        "/apps/s/g/orders",
    ] {
        let page = browser.page(path).await;
        assert!(
            !page.contains("/act/") && page.contains("(read-only)"),
            "{path}"
        );
    }
    let form = [
        ("vault", "contoso-kv.vault.azure.net"),
        ("secret", "sql"),
        ("why", "x"),
    ];
    let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(browser.send("/act/hold", &form).await.status, 403);
    assert_eq!(
        browser
            .show("/act/hold?vault=contoso-kv.vault.azure.net&secret=sql")
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn a_form_that_is_too_large_and_another_method_are_refused() {
    let browser = Browser::open(Folders::new().serve().await).await;
    let form = [("why".to_owned(), "x".repeat(100_000))];
    assert_eq!(browser.send("/act/hold", &form).await.status, 413);
    assert_eq!(browser.send("/fleet", &[]).await.status, 405);
}
