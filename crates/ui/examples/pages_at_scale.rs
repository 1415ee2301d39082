//! Writes a store of many apps and runs into a folder, unless there is one, and measures every page:
//! `cargo run --release --package keyrelay-ui --example pages_at_scale -- FOLDER [APPS] [RUNS]`.
//!
//! The first overview reads what the others find in memory. Then each page is requested three times.

#![expect(clippy::print_stdout, reason = "it prints its measurements")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{Timestamp, ToSpan as _};
use keyrelay_model::{Event, Evidence, ObjectKind, Occurrence};
use keyrelay_records::index::{
    CurrentVersion, Found, Index, IndexChange, IndexUpdate, IndexedReference,
};
use keyrelay_records::record::RotationRecord;
use keyrelay_records::{Cause, History, Outcome, Run, RunId};
use keyrelay_sandbox::{Compilation, Sandbox};
use keyrelay_store::Store;
use keyrelay_ui::{AccessControl, CsrfKey, Installation, SessionToken, Sources};
use tokio::net::TcpListener;

const VAULTS: usize = 3;
const SECRETS: usize = 60;
const VERSION: &str = "0f3b0f3b0f3b0f3b0f3b0f3b0f3b0f3b";

/// The period in which the runs began.
const DAYS: u32 = 90;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name a folder")?;
    let mut number = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse());
    let (apps, runs) = (number(10_000)?, number(100_000)?);
    let folder = Path::new(&folder);
    let is_new = !folder.join("store").exists();
    let store = Store::folder(&folder.join("store"))?;
    if is_new {
        let begin = Instant::now();
        fill_index(&store, apps).await?;
        fill_history(&store, apps, runs).await?;
        println!("filled in {} s", begin.elapsed().as_secs());
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let session = SessionToken::random("measurement", port).context("no random numbers")?;
    let begin = session.path();
    let key = CsrfKey::random().context("no random numbers")?;
    let access = AccessControl::new([format!("127.0.0.1:{port}")], Arc::new(session), key);
    let installation = Installation {
        folder: folder.to_owned(),
        policies: Path::new("policies").to_owned(),
        environment: BTreeMap::new(),
        sandbox: Sandbox::new(Compilation::InProcess)?,
        cases: None,
    };
    let router = keyrelay_ui::router(Arc::new(Sources::new(store, installation)), access);
    tokio::spawn(async move { axum::serve(listener, router).await });
    measure(&format!("http://127.0.0.1:{port}"), &begin).await
}

async fn measure(origin: &str, begin: &str) -> anyhow::Result<()> {
    let none = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder()
        .redirect(none)
        .no_proxy()
        .build()?;
    let response = client.get(format!("{origin}{begin}")).send().await?;
    let cookie = response.headers().get("set-cookie").context("no cookie")?;
    let cookie = cookie
        .to_str()?
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let first = get(&client, origin, "/", &cookie).await?.0;
    println!("the first overview: {} ms", first.as_millis());
    let newest = get(&client, origin, "/runs", &cookie).await?.1;
    let run = newest
        .split("href=\"/runs/")
        .nth(1)
        .and_then(|it| it.split('"').next());
    let run = format!("/runs/{}", run.context("no run")?);
    for path in [
        "/",
        "/fleet",
        "/fleet?state=fresh&q=app-99",
        "/secrets/vault-0.vault.azure.net/secret-0",
        "/apps/s/g/app-7",
        "/runs",
        "/runs?verdict=failed",
        "/runs?secret=secret-59&since=60d",
        run.as_str(),
        "/policies",
        "/actions",
    ] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..3 {
            let (time, text) = get(&client, origin, path, &cookie).await?;
            times.push(format!("{} ms", time.as_millis()));
            bytes = text.len();
        }
        println!("{path}: {}, {} kB", times.join(", "), bytes / 1_000);
    }
    Ok(())
}

async fn get(
    client: &reqwest::Client,
    origin: &str,
    path: &str,
    cookie: &str,
) -> anyhow::Result<(Duration, String)> {
    let begin = Instant::now();
    let request = client
        .get(format!("{origin}{path}"))
        .header("cookie", cookie);
    let response = request.send().await?.error_for_status()?;
    let text = response.text().await?;
    Ok((begin.elapsed(), text))
}

fn app(number: u32) -> String {
    format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app-{number}")
}

fn secret(number: u32) -> (String, String) {
    let number = usize::try_from(number).unwrap_or_default() % (VAULTS * SECRETS);
    let vault = format!("vault-{}.vault.azure.net", number % VAULTS);
    (vault, format!("secret-{}", number / VAULTS))
}

async fn fill_index(store: &Store, apps: u32) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let mut updates = Vec::new();
    for number in 0..apps {
        let (vault, name) = secret(number);
        let reference = IndexedReference {
            setting: "SQL_PASSWORD".to_owned(),
            is_connection_string: false,
            version: None,
            identity: None,
        };
        let found = Found {
            references: vec![reference],
            with_connection_strings: true,
            at: now,
        };
        let current = CurrentVersion::new(VERSION, Some(Evidence::RefreshedTwice), now);
        for change in [IndexChange::Found(found), IndexChange::Current(current)] {
            updates.push(IndexUpdate {
                vault: vault.parse()?,
                secret: name.parse()?,
                app: app(number).parse()?,
                change,
            });
        }
    }
    Ok(Index::new(store.clone()).update(updates).await?)
}

async fn fill_history(store: &Store, apps: u32, runs: u32) -> anyhow::Result<()> {
    let history = &History::new(store.clone());
    let now = Timestamp::now();
    let period = Duration::from_hours(24) * DAYS;
    let step = period / runs.max(1);
    let keeping = stream::iter(0..runs).map(|number| async move {
        let run = run(now - period + step * number, number, apps)?;
        Ok::<_, anyhow::Error>(history.keep(&run).await?)
    });
    keeping
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await?;
    let deadline = tokio::time::Instant::now() + Duration::from_hours(1);
    // Each of these old runs was announced as a late one. In an installation a few are, and for 15
    // minutes only.
    history.compact(now + 20.minutes(), deadline).await?;
    Ok(())
}

fn run(started: Timestamp, number: u32, apps: u32) -> anyhow::Result<Run> {
    let (vault, name) = secret(number);
    let event = Event {
        id: format!("event-{number}"),
        vault_host: vault.parse()?,
        kind: ObjectKind::Secret,
        name: name.parse()?,
        occurrence: Occurrence::NewVersionCreated,
        version: Some(VERSION.parse()?),
        time: u64::try_from(started.as_second())?,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: None,
    };
    let outcome = match number % 1_000 {
        0 => Outcome::permanent("Azure refused"),
        _ => Outcome::proven(Evidence::RefreshedTwice, "refreshed"),
    };
    let app = app(number % apps.max(1)).parse()?;
    Ok(Run {
        id: RunId::at(started),
        rotations: vec![RotationRecord::ended(app, outcome, Duration::from_secs(9))],
        ..Run::begin(Cause::Event, "invocation", Some(&event), started)
    })
}
