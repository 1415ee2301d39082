//! The driver, and one browser for each test.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value, json};
use tokio::process::{Child, Command};

use crate::site::Site;

/// The time for a browser to start, and for a page to show something.
const PATIENCE: Duration = Duration::from_secs(120);

/// The pause between two looks at a page.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// The size of the window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Window {
    Wide,
    Narrow,
}

/// The colours that the browser asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Colours {
    Light,
    Dark,
}

/// A browser with its driver, which both end with the test.
pub(crate) struct Chromium {
    // First, so that it ends first: the page would wait for it.
    _driver: Driver,
    pub(crate) page: Client,
    pub(crate) site: Site,
}

/// The driver in a process group of its own, which has the processes of the browser as well.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Chromium {
    /// Starts a browser, and opens the address that the command prints. None: there is no driver on
    /// this machine.
    pub(crate) async fn open(site: Site, scripts: Scripts) -> Option<Self> {
        Self::with(site, scripts, Window::Wide, Colours::Light).await
    }

    /// The same with another window and other colours.
    pub(crate) async fn with(
        site: Site,
        scripts: Scripts,
        window: Window,
        colours: Colours,
    ) -> Option<Self> {
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let Ok(driver) = command.spawn() else {
            // Not captured, so that the output of the tests has it.
            let message = "SKIPPED: no chromedriver; install chromium and chromium-driver\n";
            let _ = std::io::stderr().write_all(message.as_bytes());
            return None;
        };
        let (width, height) = match window {
            Window::Wide => (1_280, 900),
            Window::Narrow => (390, 844),
        };
        let size = format!("--window-size={width},{height}");
        let colours = match colours {
            Colours::Light => "--blink-settings=preferredColorScheme=1",
            Colours::Dark => "--force-dark-mode",
        };
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            size,
            colours,
        ]);
        let mut options = Map::from_iter([("args".to_owned(), arguments)]);
        if let Window::Narrow = window {
            // A window cannot be as narrow as a telephone.
            let metrics = json!({ "width": width, "height": height, "pixelRatio": 1.0 });
            let telephone = json!({ "deviceMetrics": metrics });
            options.insert("mobileEmulation".to_owned(), telephone);
        }
        if scripts == Scripts::Off {
            let off = json!({ "profile.managed_default_content_settings.javascript": 2 });
            options.insert("prefs".to_owned(), off);
        }
        let capabilities: Map<String, Value> = [
            ("browserName".to_owned(), json!("chrome")),
            ("goog:chromeOptions".to_owned(), Value::Object(options)),
        ]
        .into_iter()
        .collect();
        let url = format!("http://127.0.0.1:{port}");
        let end = Instant::now() + PATIENCE;
        let page = loop {
            // Without TLS: the driver is on this machine.
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder
                .capabilities(capabilities.clone())
                .connect(&url)
                .await
            {
                Ok(page) => break page,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        let begin = format!("{}{}", site.origin, site.begin);
        page.goto(&begin).await.unwrap();
        Some(Self {
            page,
            site,
            _driver: Driver(driver),
        })
    }

    pub(crate) async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.site.origin);
        self.page.goto(&url).await.unwrap();
    }

    /// Follows the first link with this text.
    pub(crate) async fn follow(&self, text: &str) {
        let path = format!("//a[contains(normalize-space(), '{text}')]");
        let link = self.page.find(Locator::XPath(&path)).await;
        link.unwrap_or_else(|_| panic!("no link {text}"))
            .click()
            .await
            .unwrap();
    }

    pub(crate) async fn press(&self, button: &str) {
        let path = format!("//button[normalize-space()='{button}']");
        self.page
            .find(Locator::XPath(&path))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    pub(crate) async fn fill(&self, name: &str, text: &str) {
        let selector = format!("[name='{name}']");
        let field = self.page.find(Locator::Css(&selector)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// The text that the page shows. Empty: another page is just being shown.
    pub(crate) async fn text(&self) -> String {
        let Ok(body) = self.page.find(Locator::Css("body")).await else {
            return String::new();
        };
        body.text().await.unwrap_or_default()
    }

    /// Waits until the page shows a text.
    pub(crate) async fn shows(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.text().await.contains(text) {
            assert!(Instant::now() < end, "no {text}: {}", self.text().await);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Keeps a picture, if a folder for pictures is named.
    pub(crate) async fn picture(&self, name: &str) {
        #[expect(clippy::disallowed_methods, reason = "how `cargo xtask test` says it")]
        let folder = std::env::var_os("KEYRELAY_PICTURES");
        if let Some(folder) = folder {
            let file = PathBuf::from(folder).join(format!("{name}.png"));
            let picture = self.page.screenshot().await.unwrap();
            std::fs::write(file, picture).unwrap();
        }
    }

    pub(crate) async fn end(self) {
        self.page.close().await.unwrap();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
