use super::*;

fn lock() -> Lock {
    let mut lock = Lock::default();
    lock.insert(
        "follow",
        Locked {
            digest: Digest::of(b"1"),
            precompiled: Some(Digest::of(b"2")),
        },
    );
    lock.insert(
        "an \"odd\" name",
        Locked {
            digest: Digest::of(b"3"),
            precompiled: None,
        },
    );
    lock
}

#[test]
fn a_written_lock_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Lock::read(folder.path()).unwrap(), None);
    lock().write(folder.path()).unwrap();
    assert_eq!(Lock::read(folder.path()).unwrap(), Some(lock()));
}

#[cfg(unix)]
#[test]
fn the_host_can_read_the_lock_as_another_user() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    std::fs::write(&other, "").unwrap();
    lock().write(folder.path()).unwrap();
    let mode = |file: &Path| file.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&folder.path().join(LOCK_FILE)), mode(&other) & !0o022);
}

#[track_caller]
fn check(text: &str, reason: &str) {
    let error = Lock::parse(text).unwrap_err();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn an_invalid_lock_is_refused() {
    check("", "format");
    check("format = 2", "format 2");
    check("format = 1\nother = 1", "other");
    check(
        "format = 1\n[[policy]]\nname = \"a\"\nsha256 = \"12\"",
        "policy `a`",
    );
    let entry = format!(
        "[[policy]]\nname = \"a\"\nsha256 = \"{}\"\n",
        Digest::of(b"")
    );
    check(&format!("format = 1\n{entry}{entry}"), "twice");
}

#[test]
fn a_signature_is_read_back_and_is_of_these_entries_alone() {
    let (key, _) = SigningKey::generate().unwrap();
    let (other, _) = SigningKey::generate().unwrap();
    let trusted = [key.public_key()];
    let mut signed = lock();
    assert_eq!(signed.signer(&trusted), Err(NotTrusted::Unsigned));
    signed.sign(&other);
    let by_other = NotTrusted::OtherKey(other.public_key());
    assert_eq!(signed.signer(&trusted), Err(by_other));
    signed.sign(&key);
    signed.sign(&key);
    assert_eq!(signed.keys().count(), 2);
    let mut read = Lock::parse(&signed.to_string()).unwrap();
    assert_eq!(read, signed);
    assert_eq!(read.signer(&trusted), Ok(key.public_key()));

    let locked = Locked {
        digest: Digest::of(b"other"),
        precompiled: None,
    };
    read.insert("follow", locked);
    let changed = NotTrusted::Changed(key.public_key());
    assert_eq!(read.signer(&trusted), Err(changed));
}

#[test]
fn each_part_of_an_entry_is_signed() {
    let texts = |lock: &Lock| String::from_utf8(lock.signed()).unwrap();
    let whole = texts(&lock());
    for digest in [b"1", b"2", b"3"] {
        assert!(whole.contains(&Digest::of(digest).to_string()), "{whole}");
    }
    let mut two_lines = Lock::default();
    let name = format!("a {} -\nb", Digest::of(b"1"));
    let locked = Locked {
        digest: Digest::of(b"1"),
        precompiled: None,
    };
    two_lines.insert(&name, locked);
    let mut two_entries = Lock::default();
    two_entries.insert("a", locked);
    two_entries.insert("b", locked);
    assert_ne!(texts(&two_lines), texts(&two_entries));
}

#[test]
fn only_signatures_of_the_same_entries_are_kept() {
    let (key, _) = SigningKey::generate().unwrap();
    let mut former = lock();
    former.sign(&key);
    let mut same = lock();
    same.keep_signatures(former.clone());
    assert_eq!(same, former);
    let mut different = Lock::default();
    different.keep_signatures(former);
    assert_eq!(different, Lock::default());
}

#[test]
fn with_trusted_keys_only_a_signed_lock_applies() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let trusted = [key.public_key()];
    let applies = |locked| Lock::that_applies(folder.path(), locked, &trusted);
    assert!(matches!(applies(None), Err(LockError::Missing { .. })));
    let mut signed = lock();
    signed.write(folder.path()).unwrap();
    let error = applies(None).unwrap_err();
    assert!(error.to_string().contains("no signature"), "{error}");
    signed.sign(&key);
    signed.write(folder.path()).unwrap();
    assert_eq!(applies(None).unwrap(), Some(signed.clone()));
    // A lock that is required cannot be ignored.
    assert_eq!(applies(Some(false)).unwrap(), Some(signed));
}

#[test]
fn without_trusted_keys_the_configuration_decides() {
    let folder = tempfile::tempdir().unwrap();
    let applies = |locked| Lock::that_applies(folder.path(), locked, &[]);
    assert_eq!(applies(None).unwrap(), None);
    let error = applies(Some(true)).unwrap_err();
    assert!(error.to_string().contains("`locked`"), "{error}");
    lock().write(folder.path()).unwrap();
    assert_eq!(applies(None).unwrap(), Some(lock()));
    assert_eq!(applies(Some(true)).unwrap(), Some(lock()));
    assert_eq!(applies(Some(false)).unwrap(), None);
}

#[cfg(unix)]
#[test]
fn a_device_is_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join(LOCK_FILE)).unwrap();
    let error = Lock::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}
