//! Small files that are made to take the compiler minutes, or all memory.

use std::fs;
use std::process::Stdio;

use tokio::process::Command;

use crate::harness::{Done, done};

/// A component with one module of these functions. It is no policy, which shows only after it is
/// compiled.
fn component(functions: &str) -> Vec<u8> {
    let text = format!("(component (core module {functions}))");
    let component = wat::parse_str(text).unwrap();
    assert!(component.len() <= 1 << 20, "{}", component.len());
    component
}

/// Each of the local variables lives through each of the loops.
fn many_loops() -> Vec<u8> {
    const LOCALS: usize = 2_000;
    let each = |what: &str, after: &str| {
        let lines = (0..LOCALS).map(|number| format!("{what} {number}{after}\n"));
        lines.collect::<String>()
    };
    let begin = each("i32.const 1 local.set", "");
    let loops = "loop local.get 0 br_if 0 end\n".repeat(140_000);
    let end = each("local.get", " drop");
    component(&format!(
        "(func (local {}) {begin}{loops}{end})",
        "i32 ".repeat(LOCALS)
    ))
}

/// All results live until the end.
fn many_live_values() -> Vec<u8> {
    const CALLS: usize = 340_000;
    let (calls, sums) = ("call 1\n".repeat(CALLS), "i32.add\n".repeat(CALLS - 1));
    component(&format!(
        "(func {calls}{sums}drop) (func (result i32) i32.const 1)"
    ))
}

async fn inspect(policy: &[u8]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bomb.wasm"), policy).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    command
        .args(["inspect", "bomb.wasm", "--json"])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .stdin(Stdio::null());
    done(command).await
}

#[tokio::test]
async fn a_file_that_takes_the_compiler_too_long_is_refused() {
    let shown = inspect(&many_loops()).await;
    assert_eq!(shown.code, Some(1), "{}{}", shown.output, shown.errors);
    let reason = "the policy was not compiled within 8 s of processor time";
    assert!(shown.output.contains(reason), "{}", shown.output);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_takes_the_compiler_too_much_memory_is_refused() {
    let shown = inspect(&many_live_values()).await;
    assert_eq!(shown.code, Some(1), "{}{}", shown.output, shown.errors);
    let reason = "the policy needs more than 256 MiB of memory to be compiled";
    assert!(shown.output.contains(reason), "{}", shown.output);
}

#[tokio::test]
async fn a_file_that_compiles_within_its_limits_is_judged_as_before() {
    let shown = inspect(&component("(func)")).await;
    assert_eq!(shown.code, Some(1), "{}{}", shown.output, shown.errors);
    let reason = "a component of another world";
    assert!(shown.output.contains(reason), "{}", shown.output);
}
