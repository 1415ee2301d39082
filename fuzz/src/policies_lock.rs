//! `policies.lock`, against a second reading of the file.

use std::fs;

use keyrelay_sandbox::{LOCK_FILE, Lock};
use toml::{Table, Value};

thread_local! {
    /// One folder for all inputs: a new one for each would cost more than the target itself.
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("there is a temporary folder");
}

/// Reads the text as a lock. A lock that is accepted vouches for exactly the files that the text
/// lists, and is the same after it was written and read again.
pub fn run(data: &[u8]) {
    let Some(lock) = read(data) else { return };
    let text = str::from_utf8(data).expect("a lock that is accepted is text");
    let listed = Listed::all(text);
    assert_eq!(lock.iter().count(), listed.len(), "not what the text lists");
    assert_eq!(
        lock.keys().count(),
        signatures(text),
        "not the signatures that the text has"
    );
    for (name, locked) in lock.iter() {
        let entry = listed.iter().find(|entry| entry.name == name);
        let entry = entry.expect("an entry of the lock is in its text");
        assert!(is_digest(&entry.sha256, &locked.digest.to_string()));
        match (&entry.precompiled, locked.precompiled) {
            (Some(hex), Some(digest)) => assert!(is_digest(hex, &digest.to_string())),
            (None, None) => {}
            _ => panic!("machine code is vouched for, or not, unlike in the text"),
        }
    }
    assert_eq!(read(lock.to_string().as_bytes()), Some(lock));
}

fn read(text: &[u8]) -> Option<Lock> {
    FOLDER.with(|folder| {
        fs::write(folder.path().join(LOCK_FILE), text).expect("the folder can be written");
        Lock::read(folder.path()).ok().flatten()
    })
}

/// The number of `[[signature]]` of the text.
fn signatures(text: &str) -> usize {
    let table: Table = text.parse().expect("a lock that is accepted is TOML");
    let signatures = table.get("signature").and_then(Value::as_array);
    signatures.map_or(0, Vec::len)
}

fn is_digest(hex: &str, digest: &str) -> bool {
    digest.len() == 64 && hex.eq_ignore_ascii_case(digest)
}

/// One `[[policy]]` of the text.
struct Listed {
    name: String,
    sha256: String,
    precompiled: Option<String>,
}

impl Listed {
    fn all(text: &str) -> Vec<Self> {
        let table: Table = text.parse().expect("a lock that is accepted is TOML");
        assert_eq!(table.get("format").and_then(Value::as_integer), Some(1));
        let policies = table.get("policy").and_then(Value::as_array);
        policies.into_iter().flatten().map(Self::of).collect()
    }

    fn of(entry: &Value) -> Self {
        let text = |key: &str| entry.get(key).map(|it| it.as_str().map(str::to_owned));
        let text = |key: &str| text(key).map(|it| it.expect("a value that is accepted is a text"));
        Self {
            name: text("name").expect("an entry has a name"),
            sha256: text("sha256").expect("an entry has a digest"),
            precompiled: text("precompiled_sha256"),
        }
    }
}
