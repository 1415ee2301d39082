//! The WebDriver, and one browser for each test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use thirtyfour::prelude::*;
use tokio::process::{Child, Command};

use crate::site::Site;

/// The time for a browser to start, and for a page to show something.
const PATIENCE: Duration = Duration::from_secs(30);

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
    pub(crate) page: WebDriver,
    pub(crate) site: Site,
    _driver: Child,
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
            println!("SKIPPED: there is no chromedriver; install chromium and chromium-driver");
            return None;
        };
        let mut capabilities = DesiredCapabilities::chrome();
        let (width, height) = match window {
            Window::Wide => (1_280, 900),
            Window::Narrow => (390, 844),
        };
        let size = format!("--window-size={width},{height}");
        let colours = match colours {
            Colours::Light => "--blink-settings=preferredColorScheme=1",
            Colours::Dark => "--force-dark-mode",
        };
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            &size,
            colours,
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        if scripts == Scripts::Off {
            let off =
                serde_json::json!({ "profile.managed_default_content_settings.javascript": 2 });
            capabilities.add_experimental_option("prefs", off).unwrap();
        }
        let url = format!("http://127.0.0.1:{port}");
        let page = until(async || WebDriver::new(&url, capabilities.clone()).await.ok()).await;
        let begin = format!("{}{}", site.origin, site.begin);
        page.goto(begin).await.unwrap();
        Some(Self {
            page,
            site,
            _driver: driver,
        })
    }

    pub(crate) async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.site.origin);
        self.page.goto(url).await.unwrap();
    }

    /// Follows the first link with this text.
    pub(crate) async fn follow(&self, text: &str) {
        let link = self.page.find(By::PartialLinkText(text)).await;
        link.unwrap_or_else(|_| panic!("no link {text}"))
            .click()
            .await
            .unwrap();
    }

    pub(crate) async fn press(&self, button: &str) {
        let path = format!("//button[normalize-space()='{button}']");
        self.page
            .find(By::XPath(path))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    pub(crate) async fn fill(&self, name: &str, text: &str) {
        let field = self.page.find(By::Name(name)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// The text that the page shows.
    pub(crate) async fn text(&self) -> String {
        let body = self.page.find(By::Css("body")).await.unwrap();
        body.text().await.unwrap()
    }

    /// Waits until the page shows a text.
    pub(crate) async fn shows(&self, text: &str) {
        let found = async || self.text().await.contains(text).then_some(());
        let in_time = tokio::time::timeout(PATIENCE, until(found)).await;
        if in_time.is_err() {
            panic!("no {text}: {}", self.text().await);
        }
    }

    /// Keeps a picture, if a folder for pictures is named.
    pub(crate) async fn picture(&self, name: &str) {
        #[expect(clippy::disallowed_methods, reason = "how `cargo xtask test` says it")]
        let folder = std::env::var_os("KEYRELAY_PICTURES");
        if let Some(folder) = folder {
            let file = PathBuf::from(folder).join(format!("{name}.png"));
            self.page.screenshot(&file).await.unwrap();
        }
    }

    pub(crate) async fn end(self) {
        self.page.quit().await.unwrap();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Asks again until there is a value.
async fn until<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("not in time")
}
