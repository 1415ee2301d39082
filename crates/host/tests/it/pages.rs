//! The configurations in the documentation are valid.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use keyrelay_config::Config;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let in_folder = |folder: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.extension() == Some("md".as_ref()))
            .collect()
    };
    [
        vec![root.join("README.md")],
        in_folder("docs"),
        in_folder("docs/policies"),
    ]
    .concat()
}

/// The TOML blocks except the cases of `keyrelay test`, with placeholders replaced by ids.
fn configurations(page: &str) -> Vec<String> {
    let blocks = page
        .split("```toml\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap());
    let id = "00000000-0000-0000-0000-000000000000";
    blocks
        .filter(|block| !block.contains("[event]"))
        .map(|block| {
            block
                .replace("/subscriptions/...", &format!("/subscriptions/{id}"))
                .replace("<id>", id)
        })
        .collect()
}

#[test]
fn every_configuration_in_the_pages_is_valid() {
    let mut count = 0;
    for page in pages() {
        for text in configurations(&fs::read_to_string(&page).unwrap()) {
            if let Err(problems) = Config::read(&text, &BTreeMap::new()) {
                panic!("{}: {problems:#?}\n{text}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 15, "only {count} were found");
}
