//! Each claim of SECURITY.md names the file that implements it, or the test that fails if it is not
//! true: both must exist.

use std::collections::BTreeSet;

use crate::words::sources;

/// The texts in backticks, in the lines outside of code blocks.
fn quoted(text: &str) -> BTreeSet<&str> {
    let mut is_code = false;
    let mut quoted = BTreeSet::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            quoted.extend(line.split('`').skip(1).step_by(2));
        }
    }
    quoted
}

/// Names of tests have three words or more.
fn is_test(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
    };
    name.split('_').count() >= 3 && name.split('_').all(is_part)
}

fn is_file(name: &str) -> bool {
    let ends = [".rs", ".md", ".yml", ".tf"];
    ends.iter().any(|end| name.ends_with(end)) && !name.contains(' ')
}

#[test]
fn each_test_and_file_that_security_md_names_exists() {
    let sources = sources();
    let page = sources.iter().find(|it| it.path == "SECURITY.md").unwrap();
    let claims = quoted(&page.text);
    let others = || sources.iter().filter(|it| it.path != page.path);
    let tests: Vec<&str> = claims.iter().copied().filter(|it| is_test(it)).collect();
    let files: Vec<&str> = claims.iter().copied().filter(|it| is_file(it)).collect();
    assert!(tests.len() > 50 && files.len() > 20, "{claims:?}");
    let mut missing = Vec::new();
    for test in tests {
        let function = format!("fn {test}(");
        // The fault suite and `terraform test` name theirs by a text.
        let named = format!("\"{test}\"");
        let has = |text: &str| text.contains(&function) || text.contains(&named);
        if !others().any(|it| has(&it.text)) {
            missing.push(test);
        }
    }
    for file in files {
        let below = format!("/{file}");
        if !others().any(|it| it.path == file || it.path.ends_with(&below)) {
            missing.push(file);
        }
    }
    assert!(
        missing.is_empty(),
        "SECURITY.md names what is not there: {missing:?}"
    );
}
