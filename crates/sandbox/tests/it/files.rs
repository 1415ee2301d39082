//! Files that are policies, and files that are not.

use std::fs::{self, File};
use std::path::Path;

use keyrelay_sandbox::{Compilation, DecideError, InvalidFile, LoadError, Sandbox};

use crate::guest::{Guest, load};

/// Checks the error that a file is refused with, and its message.
async fn check(bytes: Vec<u8>, expected: impl Fn(&LoadError) -> bool, part: &str) {
    let error = load(bytes).await.unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert!(error.to_string().contains(part), "{error}");
}

#[tokio::test]
async fn a_component_is_loaded() {
    load(Guest::refreshing().component()).await.unwrap();
}

#[tokio::test]
async fn a_core_module_with_its_types_is_loaded() {
    load(Guest::refreshing().module()).await.unwrap();
}

#[tokio::test]
async fn a_patch_release_of_the_contract_is_loaded() {
    let newer = Guest::refreshing().component();
    let newer = replace(
        &newer,
        b"keyrelay:policy/types@0.1.0",
        b"keyrelay:policy/types@0.1.9",
    );
    load(newer).await.unwrap();
}

#[tokio::test]
async fn an_empty_file_is_refused() {
    check(
        Vec::new(),
        |error| matches!(error, LoadError::File(InvalidFile::Empty)),
        "empty",
    )
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_webassembly_is_refused() {
    for text in [
        "x",
        "(module)",
        "<html>not found</html>",
        "\u{7f}ELF\u{2}\u{1}\u{1}\u{0}",
    ] {
        check(
            text.into(),
            |error| matches!(error, LoadError::File(InvalidFile::NotWebAssembly)),
            "not WebAssembly",
        )
        .await;
    }
}

#[tokio::test]
async fn a_half_written_file_is_refused_wherever_it_ends() {
    let sandbox = Sandbox::new(Compilation::InProcess).unwrap();
    for whole in [
        Guest::refreshing().component(),
        Guest::refreshing().module(),
    ] {
        let mut cut_off = 0;
        let lengths = (1..whole.len()).step_by(whole.len() / 100);
        for length in lengths.clone() {
            let error = sandbox
                .load("half", whole[..length].to_vec())
                .await
                .unwrap_err();
            cut_off += usize::from(matches!(error, LoadError::File(InvalidFile::CutOff)));
        }
        // A file that happens to end between two sections looks whole.
        assert!(cut_off * 10 > lengths.count() * 9, "{cut_off}");
    }
}

#[tokio::test]
async fn a_component_that_ends_with_a_module_is_whole() {
    let component = wat::parse_str("(component (core module (func)))").unwrap();
    let error = load(component).await.unwrap_err();
    assert!(matches!(error, LoadError::OtherWorld { .. }), "{error}");
}

#[tokio::test]
async fn a_file_whose_end_is_not_written_yet_is_refused() {
    let mut bytes = Guest::refreshing().component();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    assert!(load(bytes).await.is_err());
}

#[tokio::test]
async fn a_component_that_expands_without_end_is_refused() {
    // Each component instantiates the one inside of it twice: 40 levels are a terabyte of
    // instances.
    for innermost in [
        "(component)",
        "(component (core module $m) (core instance (instantiate $m)))",
    ] {
        let mut component = innermost.to_owned();
        for _ in 0..40 {
            let inner = component.replacen("(component", "(component $inner", 1);
            component = format!(
                "(component {inner} (instance (instantiate $inner)) (instance (instantiate $inner)))"
            );
        }
        let bytes = wat::parse_str(&component).unwrap();
        assert!(bytes.len() < 4096);
        check(
            bytes,
            |error| matches!(error, LoadError::File(InvalidFile::Instances { .. })),
            "expands to more than 10000 instances",
        )
        .await;
    }
}

#[tokio::test]
async fn a_core_module_without_types_is_refused() {
    let bytes = wat::parse_str(r#"(module (func (export "decide")))"#).unwrap();
    check(
        bytes,
        |error| matches!(error, LoadError::File(InvalidFile::NoTypes)),
        "`export!`",
    )
    .await;
}

#[tokio::test]
async fn a_core_module_for_an_older_wasi_is_refused() {
    let guest = Guest {
        imports: r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))"#.to_owned(),
        ..Guest::refreshing()
    };
    check(
        guest.module(),
        |error| matches!(error, LoadError::File(InvalidFile::NoComponent(_))),
        "wasi_snapshot_preview1",
    )
    .await;
}

#[tokio::test]
async fn a_component_of_another_world_is_refused() {
    let stranger = Guest {
        world: "stranger",
        ..Guest::refreshing()
    };
    check(
        stranger.component(),
        |error| matches!(error, LoadError::OtherWorld { .. }),
        "`describe`",
    )
    .await;
    check(
        stranger.module(),
        |error| matches!(error, LoadError::OtherWorld { .. }),
        "`describe`",
    )
    .await;
}

#[tokio::test]
async fn a_component_of_another_version_is_refused() {
    let bytes = Guest::refreshing().component();
    let other = replace(
        &bytes,
        b"keyrelay:policy/types@0.1.0",
        b"keyrelay:policy/types@0.2.0",
    );
    let sentence = "built for `keyrelay:policy@0.2.0`, this is `keyrelay:policy@0.1.0`";
    check(
        other,
        |error| matches!(error, LoadError::OtherVersion { .. }),
        sentence,
    )
    .await;
}

#[tokio::test]
async fn a_component_with_other_types_is_refused() {
    let mut guest = Guest::refreshing();
    guest.wit = guest
        .wit
        .replace("    summary: string,", "    synopsis: string,");
    check(
        guest.component(),
        |error| matches!(error, LoadError::OtherTypes { .. }),
        "describe",
    )
    .await;
}

#[tokio::test]
async fn an_import_that_no_policy_gets_is_refused_by_name() {
    let guest = Guest {
        imports: r#"(import "wasi:http/outgoing@0.2.0" "handle" (func))"#.to_owned(),
        ..Guest::refreshing()
    };
    let is_import = |error: &LoadError| matches!(error, LoadError::Import(_));
    check(
        guest.component(),
        is_import,
        "imports `wasi:http/outgoing@0.2.0`",
    )
    .await;
}

#[tokio::test]
async fn a_policy_whose_describe_traps_is_refused() {
    let guest = Guest {
        describe: "(unreachable)".to_owned(),
        ..Guest::refreshing()
    };
    check(
        guest.component(),
        |error| matches!(error, LoadError::Describe(DecideError::Trap(_))),
        "describe",
    )
    .await;
}

#[tokio::test]
async fn a_policy_whose_describe_never_returns_is_refused() {
    let guest = Guest {
        describe: "(loop $again (br $again)) (unreachable)".to_owned(),
        ..Guest::refreshing()
    };
    check(
        guest.component(),
        |error| matches!(error, LoadError::Describe(DecideError::Time { .. })),
        "describe",
    )
    .await;
}

#[tokio::test]
async fn a_policy_has_the_name_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sql-password.wasm");
    fs::write(&path, Guest::refreshing().component()).unwrap();
    assert_eq!(load_file(&path).await.unwrap().name(), "sql-password");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        load_file(&folder.path().join("gone.wasm")).await,
        Err(LoadError::Read(_))
    ));
    assert!(matches!(
        load_file(folder.path()).await,
        Err(LoadError::NotAFile)
    ));
}

#[tokio::test]
async fn a_giant_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("giant.wasm");
    File::create(&path).unwrap().set_len(100 << 30).unwrap();
    assert!(matches!(
        load_file(&path).await,
        Err(LoadError::TooLarge { .. })
    ));
}

async fn load_file(path: &Path) -> Result<keyrelay_sandbox::Policy, LoadError> {
    Sandbox::new(Compilation::InProcess)
        .unwrap()
        .load_file(path)
        .await
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut replaced = bytes.to_vec();
    let found: Vec<usize> = (0..bytes.len())
        .filter(|start| bytes[*start..].starts_with(old))
        .collect();
    assert!(!found.is_empty());
    for start in found {
        replaced[start..start + new.len()].copy_from_slice(new);
    }
    replaced
}
