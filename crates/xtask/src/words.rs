//! The vocabulary of the repository: words that code and documentation do not use, and sentences
//! that doc comments do not open with.
//!
//! docs/concepts.md has the words to use instead.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::shell;

/// Words that are not used, in any case, and as parts of identifiers, too: `TakeBack` and
/// `take_back` are `take back`.
const UNUSED: [&str; 43] = [
    "anew",
    "anybody",
    "came of it",
    "denial",
    "denials",
    "for ever",
    "had better",
    "in the middle of it",
    "lane",
    "lanes",
    "let go of",
    "misuse",
    "misused",
    "misuses",
    "put back",
    "puts back",
    "putting back",
    "recall",
    "recalled",
    "recalls",
    "run over",
    "shelf",
    "shelved",
    "shelves",
    "so that nobody",
    "somebody",
    "surroundings",
    "take back",
    "taken back",
    "takes back",
    "taking back",
    "the way of",
    "took back",
    "trouble",
    "troubles",
    "undo",
    "undoes",
    "undoing",
    "undone",
    "whatever",
    "whoever",
    "witness",
    "witnesses",
];

/// The first words of free relative clauses ("What it does"). A doc comment opens with a noun
/// phrase or a verb.
const OPENERS: [&str; 9] = [
    "how", "what", "whatever", "when", "where", "which", "who", "whoever", "whose",
];

/// One doc comment in so many may open with one of [`OPENERS`].
const OPENERS_ONE_IN: usize = 50;

/// Paths and texts of the store that keep their spelling.
const STORED: [&str; 3] = ["\"denials\"", "denials/", "\"denials/"];

/// Files that are not checked: the history, and this list.
const EXEMPT: [&str; 2] = ["CHANGELOG.md", "crates/xtask/src/words.rs"];

/// The ends of the names of files that are checked.
const CHECKED: [&str; 12] = [
    "css", "html", "js", "json", "md", "mjs", "py", "rs", "sh", "tf", "toml", "yml",
];

/// Folders that are not ours, or generated.
const SKIPPED: [&str; 5] = ["target", "dist", "node_modules", "__pycache__", "venv"];

pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All files that are checked.
pub(crate) fn sources() -> Vec<Source> {
    let root = shell::root();
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_hidden = name.starts_with('.') && name != ".github";
            if path.is_dir() && !is_hidden && !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() && is_checked(&root, &path) {
                found.extend(source(&root, path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 100, "only {} files were found", found.len());
    found
}

fn is_checked(root: &Path, path: &Path) -> bool {
    let extension = path.extension().and_then(|it| it.to_str());
    extension.is_some_and(|it| CHECKED.contains(&it))
        && EXEMPT.iter().all(|exempt| path != root.join(exempt))
}

/// A file as text; none if it is no text.
fn source(root: &Path, path: PathBuf) -> Option<Source> {
    let text = fs::read_to_string(&path).ok()?;
    let path = path.strip_prefix(root).ok()?.to_string_lossy().into_owned();
    Some(Source {
        path: path.replace('\\', "/"),
        text,
    })
}

/// The words of a line in lower case. Identifiers are several: `takeBack`, `TakeBack` and
/// `take_back` are two words each.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && was_lower) {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The old names of stored fields, which `serde(alias = "...")` still reads.
fn aliases(sources: &[Source]) -> BTreeSet<String> {
    let lines = sources.iter().flat_map(|source| source.text.lines());
    let names = lines.flat_map(|line| line.split("alias = \"").skip(1));
    names
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

/// A line without the quoted names that stored records have.
fn without_stored(line: &str, aliases: &BTreeSet<String>) -> String {
    let mut line = line.to_owned();
    for alias in aliases {
        for quoted in [format!("\"{alias}\""), format!("\"{alias}\\\"")] {
            line = line.replace(&quoted, "\"\"");
        }
    }
    for stored in STORED {
        line = line.replace(stored, "");
    }
    line
}

/// The unused words in a line.
fn unused(line: &str) -> impl Iterator<Item = &'static str> {
    let words = words(line);
    UNUSED.into_iter().filter(move |unused| {
        let unused: Vec<&str> = unused.split(' ').collect();
        words.windows(unused.len()).any(|found| found == unused)
    })
}

/// The first lines of doc comments, with their numbers.
fn doc_openers(text: &str) -> Vec<(usize, &str)> {
    let mut openers = Vec::new();
    let mut before = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let comment = ["///", "//!"]
            .iter()
            .find_map(|mark| Some((*mark, line.strip_prefix(mark)?)));
        let mark = comment.map(|(mark, _)| mark);
        if let Some((_, words)) = comment
            && mark != before
        {
            openers.push((index + 1, words.trim()));
        }
        before = mark;
    }
    openers
}

#[test]
fn no_unused_word_is_used() {
    let sources = sources();
    let aliases = aliases(&sources);
    let mut found = Vec::new();
    for Source { path, text } in &sources {
        found.extend(unused(path).map(|word| format!("{path}: the name has `{word}`")));
        for (index, line) in text.lines().enumerate() {
            let line = without_stored(line, &aliases);
            let here = unused(&line);
            found.extend(here.map(|word| format!("{path}:{}: `{word}`", index + 1)));
        }
    }
    assert!(
        found.is_empty(),
        "{} words that are not used here (docs/concepts.md has those to use):\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    let (mut count, mut found) = (0, Vec::new());
    for Source { path, text } in sources().iter().filter(|it| it.path.ends_with(".rs")) {
        for (number, opener) in doc_openers(text) {
            count += 1;
            let first = words(opener).into_iter().next().unwrap_or_default();
            if OPENERS.contains(&first.as_str()) {
                found.push(format!("{path}:{number}: {opener}"));
            }
        }
    }
    assert!(
        found.len() * OPENERS_ONE_IN <= count,
        "{} of {count} doc comments open with a relative clause, and one in {OPENERS_ONE_IN} may:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn identifiers_are_several_words() {
    let expected = ["take", "back", "take", "back", "policy", "cache"];
    assert_eq!(words("take_back(TakeBack), policyCache"), expected);
    assert!(unused("self.takeBack()").eq(["take back"]));
    assert_eq!(unused("troubleshooting, planes, the back").count(), 0);
}

#[test]
fn names_of_stored_fields_are_allowed_in_quotes() {
    let aliases = BTreeSet::from(["witness".to_owned()]);
    let line = r#"r.insert("witness"); "{\"witness\":1}" "denials/a.json""#;
    let line = without_stored(line, &aliases);
    assert_eq!(unused(&line).count(), 0, "{line}");
    let line = without_stored("let witness = 1;", &aliases);
    assert_eq!(unused(&line).count(), 1);
}

#[test]
fn a_doc_comment_counts_once() {
    let text = "//! A.\n//! B.\n\n/// What.\n/// More.\nfn f() {}\n    /// C.\n";
    assert_eq!(doc_openers(text), [(1, "A."), (4, "What."), (7, "C.")]);
}
