//! The reader of packages, against names that leave their folder and sizes without limit.

use std::io::Cursor;

use keyrelay_package::{Files, pack, unpack};

/// The documented limit for the unpacked size, in bytes.
const LARGEST: usize = 512 << 20;

/// Reads the bytes as a package. What is accepted stays in its folder on every system, is within
/// the limit, and is the same after it was packed and read again.
pub fn run(data: &[u8]) {
    let Ok(files) = unpack(Cursor::new(data)) else {
        return;
    };
    for name in files.keys() {
        assert!(stays_on_linux(name), "{name:?} leaves its folder on Linux");
        assert!(
            stays_on_windows(name),
            "{name:?} leaves its folder on Windows"
        );
    }
    let size: usize = files.values().map(Vec::len).sum();
    assert!(size <= LARGEST, "{size} bytes were unpacked");
    check_round_trip(&files);
}

/// Packs what was read. Large files only cost time here.
fn check_round_trip(files: &Files) {
    const ENOUGH: usize = 1 << 20;
    if files.values().map(Vec::len).sum::<usize>() > ENOUGH {
        return;
    }
    let packed = pack(files).expect("files that were unpacked can be packed");
    let again = unpack(Cursor::new(&packed)).expect("a package that was packed can be read");
    assert!(again == *files, "a round trip changes the files");
    let packed_again = pack(&again).expect("the same files can be packed");
    assert!(
        packed == packed_again,
        "the same files give different bytes"
    );
}

/// Whether a path never is above the folder that it starts in, as Linux resolves it.
fn stays_on_linux(name: &str) -> bool {
    !name.starts_with('/') && !name.contains('\0') && depths(name.split('/')).all(|it| it >= 0)
}

/// The same as Windows resolves it: with two separators, drives, streams, and without the dots and
/// spaces at the end of a part.
fn stays_on_windows(name: &str) -> bool {
    let parts = name.split(['/', '\\']).map(|part| match part {
        ".." => part,
        _ if !part.is_empty() && part.trim_end_matches([' ', '.']).is_empty() => "..",
        _ => part.trim_end_matches([' ', '.']),
    });
    !name.starts_with(['/', '\\']) && !name.contains(':') && depths(parts).all(|it| it >= 0)
}

/// The depth below the starting folder after each part of a path.
fn depths<'a>(parts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = i64> {
    parts.scan(0, |depth, part| {
        *depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        Some(*depth)
    })
}
