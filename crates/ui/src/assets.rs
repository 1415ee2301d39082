//! The style sheet, the script and the icon. They are in the program.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file of the pages.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) name: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
    digest: LazyLock<String>,
}

macro_rules! asset {
    ($name:literal, $content_type:literal, $file:literal) => {
        Asset {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!($file),
            digest: LazyLock::new(|| digest_of(include_bytes!($file))),
        }
    };
}

pub(crate) static STYLE: Asset = asset!(
    "style.css",
    "text/css; charset=utf-8",
    "../assets/style.css"
);

pub(crate) static SCRIPT: Asset = asset!(
    "htmx.js",
    "text/javascript; charset=utf-8",
    "../vendor/htmx.org/dist/htmx.min.js"
);

pub(crate) static ICON: Asset = asset!("icon.svg", "image/svg+xml", "../assets/icon.svg");

impl Asset {
    /// The asset with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        [&STYLE, &SCRIPT, &ICON]
            .into_iter()
            .find(|asset| asset.name == name)
    }

    /// The beginning of the SHA-256. The address has it, so that a browser may keep the asset.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }
}

fn digest_of(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
