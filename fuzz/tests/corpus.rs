//! Every target with its corpus, on the ordinary compiler.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use keyrelay_fuzz::TARGETS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    paths
}

/// The names of files or folders without their ends.
fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: &PathBuf| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    entries(&root().join(folder)).iter().map(stem).collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

#[test]
fn no_input_of_the_corpus_breaks_a_rule() {
    for (name, run) in TARGETS {
        let inputs = entries(&root().join("corpus").join(name));
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            let data = fs::read(&input).unwrap();
            let done = std::panic::catch_unwind(|| run(&data));
            assert!(done.is_ok(), "{}", input.display());
        }
    }
}

#[test]
fn the_corpus_is_small() {
    const LARGEST: u64 = 50 << 10;
    const ALL: u64 = 600 << 10;
    let folders = TARGETS.map(|(name, _)| entries(&root().join("corpus").join(name)));
    let sizes: Vec<u64> = folders
        .iter()
        .flatten()
        .map(|input| input.metadata().unwrap().len())
        .collect();
    assert!(sizes.iter().all(|size| *size <= LARGEST));
    assert!(sizes.iter().sum::<u64>() <= ALL);
}
