//! `keyrelay compile`: ahead-of-time compilation of policies.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use keyrelay_sandbox::{Digest, LOCK_FILE, Lock, Locked, precompiled_file};

use crate::lock::{app_of, digests, files, print};
use crate::out;
use crate::sandbox;
use crate::signing;

/// Compile policies ahead of time, so that keyrelay-host starts faster
///
/// Writes `policies/NAME.cwasm` beside each `policies/NAME.wasm`, and locks both in policies.lock.
/// The output is machine code. It is used only if the lock has its digest, and only by the same
/// version of the engine on the same processor architecture (x86-64 in Azure). Otherwise
/// keyrelay-host compiles the policy itself, and logs that.
#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// The folder of the function app, with `policies/` in it, or that `policies/`
    #[arg(default_value = ".", value_parser = PathBufValueParser::new().map(app_of))]
    app: PathBuf,
    /// Sign the lock with a private key: a PEM file of `keyrelay key new`, or `-` for standard input
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Print the locked policies as JSON, one line each
    #[arg(long)]
    json: bool,
}

impl Compile {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let lock = policies(&self.app, self.sign.as_ref()).await?;
        if self.json {
            print(&lock);
        }
        out::note(&format!("wrote {}", self.app.join(LOCK_FILE).display()));
        Ok(())
    }
}

/// Compiles the policies of a function app, locks them, and signs the lock if there is a key.
pub(crate) async fn policies(app: &Path, key: Option<&PathBuf>) -> anyhow::Result<Lock> {
    let sandbox = sandbox::new()?;
    let (mut lock, files) = (Lock::default(), files(app)?);
    let digests = digests(&sandbox, &files).await?;
    for ((name, file), digest) in files.into_iter().zip(digests) {
        let began = Instant::now();
        let compiled = sandbox
            .precompile(&file)
            .await
            .with_context(|| format!("cannot compile policies/{name}.wasm"))?;
        let beside = precompiled_file(&file);
        fs::write(&beside, &compiled)
            .with_context(|| format!("cannot write {}", beside.display()))?;
        lock.insert(
            &name,
            Locked {
                digest,
                precompiled: Some(Digest::of(&compiled)),
            },
        );
        let (size, took) = (compiled.len() >> 10, began.elapsed().as_millis());
        out::note(&format!("compiled {name}: {size} KiB, in {took} ms"));
    }
    // Written last: until then the new files do not match the old lock, and the host compiles the
    // policies itself.
    signing::sign(&mut lock, app, key)?;
    lock.write(app)?;
    Ok(lock)
}
