//! The supply chain, as far as the files of the repository decide it: each foreign action, image
//! and tool is pinned, and only a release is signed.

use std::fs;

use crate::shell;

/// The only workflow that may sign, and its job for that.
const SIGNER: (&str, &str) = ("release.yml", "publish");

struct Workflow {
    name: String,
    text: String,
}

fn workflows() -> Vec<Workflow> {
    let folder = shell::root().join(".github/workflows");
    let found: Vec<Workflow> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            Workflow {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                text: fs::read_to_string(&path).unwrap(),
            }
        })
        .collect();
    assert!(found.len() > 3, "only {} workflows", found.len());
    found
}

/// The jobs of a workflow by name, each with its lines.
fn jobs(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut jobs: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().skip_while(|line| *line != "jobs:").skip(1) {
        let is_head = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        if is_head && !line.trim_start().starts_with('#') {
            jobs.push((line.trim().trim_end_matches(':'), Vec::new()));
        } else if let Some((_, lines)) = jobs.last_mut() {
            lines.push(line.trim());
        }
    }
    jobs
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether an action is one of this repository, or named by the digest of its commit with the
/// version as a comment.
fn is_pinned(action: &str) -> bool {
    if action.starts_with("./") {
        return true;
    }
    let Some((_, version)) = action.split_once('@') else {
        return false;
    };
    let Some((digest, comment)) = version.split_once(" # ") else {
        return false;
    };
    is_hex(digest, 40) && comment.starts_with('v')
}

#[test]
fn actions_are_pinned_by_digest() {
    let mut count = 0;
    for Workflow { name, text } in workflows() {
        for line in text.lines() {
            let line = line.trim().trim_start_matches("- ");
            if let Some(action) = line.strip_prefix("uses: ") {
                count += 1;
                assert!(is_pinned(action), "{name}: {action} is not pinned");
            }
        }
    }
    assert!(count > 10, "only {count} actions were found");
}

#[test]
fn only_the_release_of_a_protected_tag_is_signed() {
    for Workflow { name, text } in workflows() {
        let rights = |lines: &[&str]| {
            ["id-token: write", "attestations: write", "actions/attest"]
                .iter()
                .any(|right| lines.iter().any(|line| line.contains(right)))
        };
        assert!(text.contains("\npermissions: {}\n"), "{name}");
        for (job, lines) in jobs(&text) {
            let signs = rights(&lines);
            assert_eq!(signs, (name.as_str(), job) == SIGNER, "{name}: {job}");
            if signs {
                assert!(lines.contains(&"environment: release"), "{name}: {job}");
                assert!(!lines.iter().any(|line| line.contains("cargo")), "{job}");
            }
        }
        if name == SIGNER.0 {
            assert!(text.contains("on:\n  push:\n    tags: [\"v*\"]\n\n"));
            assert!(text.contains("!github.ref_protected"));
        }
    }
}

#[test]
fn the_documented_verification_names_the_workflow_and_the_ref() {
    for file in ["SECURITY.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(shell::root().join(file)).unwrap();
        let (_, rest) = text.split_once("gh attestation verify ").unwrap();
        let (command, _) = rest.split_once("```").unwrap();
        for option in [
            "--signer-workflow OWNER/REPOSITORY/.github/workflows/release.yml",
            "--source-ref refs/tags/v",
        ] {
            assert!(command.contains(option), "{file}: {option}");
        }
    }
}

#[test]
fn the_dev_container_is_pinned_by_digest() {
    let folder = shell::root().join(".devcontainer");
    let text = fs::read_to_string(folder.join("devcontainer.json")).unwrap();
    assert!(!text.contains("\"features\"") && !text.contains("\"image\""));
    let text = fs::read_to_string(folder.join("Dockerfile")).unwrap();
    let images: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .collect();
    assert!(!images.is_empty());
    for image in images {
        let digest = image.split_once("@sha256:").map(|(_, rest)| rest);
        let digest = digest.and_then(|it| it.split(' ').next());
        assert!(digest.is_some_and(|it| is_hex(it, 64)), "{image}");
    }
}

#[test]
fn terraform_has_one_exact_version() {
    let root = shell::root();
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let dockerfile = read(".devcontainer/Dockerfile");
    let (_, rest) = dockerfile.split_once("TERRAFORM=").unwrap();
    let version = rest.lines().next().unwrap();
    assert_eq!(version.split('.').count(), 3, "{version}");
    assert!(
        read(".github/workflows/terraform.yml")
            .contains(&format!("terraform_version: \"{version}\""))
    );
}
