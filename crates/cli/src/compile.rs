//! `keyrelay compile`: ahead-of-time compilation of policies.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use keyrelay_sandbox::{
    Digest, LOCK_FILE, Lock, Locked, SigningKey, precompiled_file, write_temporary,
};

use crate::lock::{app_of, compile_each, files, print};
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
        let key = signing::given(self.sign.as_deref())?;
        let lock = policies(&self.app, key.as_ref()).await?;
        if self.json {
            print(&lock);
        }
        out::note(&format!("wrote {}", self.app.join(LOCK_FILE).display()));
        Ok(())
    }
}

/// Compiles the policies of a function app, locks them, and signs the lock if there is a key.
/// Nothing is written if one of them is no policy.
pub(crate) async fn policies(app: &Path, key: Option<&SigningKey>) -> anyhow::Result<Lock> {
    let (mut lock, mut written, files) = (Lock::default(), Vec::new(), files(app)?);
    let mut began = Instant::now();
    compile_each(&sandbox::new()?, &files, |name, file, digest, content| {
        let beside = precompiled_file(file);
        let temporary = write_temporary(file.parent().unwrap_or(Path::new(".")), content)
            .with_context(|| format!("cannot write {}", beside.display()))?;
        written.push((temporary, beside));
        lock.insert(
            name,
            Locked {
                digest,
                precompiled: Some(Digest::of(content)),
            },
        );
        let (size, took) = (content.len() >> 10, began.elapsed().as_millis());
        out::note(&format!("compiled {name}: {size} KiB, in {took} ms"));
        began = Instant::now();
        Ok(())
    })
    .await?;
    for (temporary, beside) in written {
        let persisted = temporary.persist(&beside);
        persisted.with_context(|| format!("cannot write {}", beside.display()))?;
    }
    // Written last: until then the new files do not match the old lock, and the host compiles the
    // policies itself.
    signing::sign(&mut lock, app, key);
    lock.write(app)?;
    Ok(lock)
}
