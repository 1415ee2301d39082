//! How the engine is set up.

use std::sync::OnceLock;

use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine};

use crate::binary;
use crate::bindings::PolicyPre;
use crate::cell::Cell;
use crate::contract;
use crate::error::LoadError;
use crate::output::printable;
use crate::precompiled::{NotUsed, Vouched};
use crate::world;

/// How deep a policy may call, in bytes of stack.
pub(crate) const STACK: usize = 1 << 20;
/// From which size on a file's memory is worth an image, in bytes. See [`Compilers`].
const LARGE: usize = 256 << 10;

/// Two engines that differ in how an instance gets its initial memory.
///
/// Of a large policy, one that brings an interpreter along, an image is kept and mapped into each instance: a policy in
/// Python decides in a sixth of the time. An image costs a file descriptor, though, of which a process often has no more
/// than 1,024, and for the few kilobytes of a small policy copying is faster.
pub(crate) struct Compilers {
    small: Compiler,
    large: Compiler,
}

pub(crate) struct Compiler {
    engine: Engine,
    /// WASI, once there is a policy that asks for it. Those in Rust do not, and it is many functions to link.
    wasi: OnceLock<wasmtime::Result<Linker<Cell>>>,
}

impl Compilers {
    pub(crate) fn new() -> wasmtime::Result<Self> {
        let mut config = config();
        let small = Compiler::new(config.memory_init_cow(false))?;
        let large = Compiler::new(config.memory_init_cow(true))?;
        Ok(Self { small, large })
    }

    pub(crate) fn engines(&self) -> [Engine; 2] {
        [&self.small, &self.large].map(|compiler| compiler.engine.clone())
    }

    /// Compiles and links a policy's file.
    pub(crate) fn compile(&self, bytes: &[u8]) -> Result<PolicyPre<Cell>, LoadError> {
        let compiler = self.for_file(bytes);
        let component = Component::from_binary(&compiler.engine, &binary::component(bytes)?)
            .map_err(invalid)?;
        contract::bind(compiler, &component)
    }

    /// Compiles a policy's file to what [`revive`](Self::revive) takes, on every machine of this kind: the result does
    /// not depend on the processor at hand.
    pub(crate) fn precompile(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
        let mut config = config();
        config.memory_init_cow(bytes.len() >= LARGE);
        if cfg!(target_os = "linux") {
            // Named, a target has none of the features that are found by looking at the processor.
            config
                .target(&format!("{}-unknown-linux", std::env::consts::ARCH))
                .map_err(invalid)?;
        }
        let engine = Engine::new(&config).map_err(invalid)?;
        engine
            .precompile_component(&binary::component(bytes)?)
            .map_err(invalid)
    }

    /// Links what was compiled before of the policy's file `bytes`. The outer error says that it was not for this
    /// engine, the inner one that it is no policy.
    pub(crate) fn revive(
        &self,
        bytes: &[u8],
        vouched: &Vouched<'_>,
    ) -> Result<Result<PolicyPre<Cell>, LoadError>, NotUsed> {
        let compiler = self.for_file(bytes);
        #[expect(
            unsafe_code,
            reason = "the engine cannot check machine code; the lock vouches for every bit of it"
        )]
        // SAFETY: `Vouched` holds what `precompile` wrote: the digest of the whole file is in `policies.lock`, which only
        // `keyrelay` writes, and only for its own work. The engine itself checks its version and the processor.
        let component = unsafe { Component::deserialize(&compiler.engine, vouched.serialized()) };
        let component =
            component.map_err(|error| NotUsed::OtherEngine(printable(&format!("{error:#}"))))?;
        Ok(contract::bind(compiler, &component))
    }

    fn for_file(&self, bytes: &[u8]) -> &Compiler {
        if bytes.len() < LARGE {
            &self.small
        } else {
            &self.large
        }
    }
}

impl Compiler {
    fn new(config: &Config) -> wasmtime::Result<Self> {
        Ok(Self {
            engine: Engine::new(config)?,
            wasi: OnceLock::new(),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What a component may import.
    pub(crate) fn wasi(&self) -> Result<&Linker<Cell>, LoadError> {
        let link = || {
            let mut linker = Linker::new(&self.engine);
            world::link(&mut linker)?;
            Ok(linker)
        };
        let linked = self.wasi.get_or_init(link);
        linked
            .as_ref()
            .map_err(|error| LoadError::Invalid(format!("WASI cannot be linked: {error:#}")))
    }
}

fn invalid(error: wasmtime::Error) -> LoadError {
    LoadError::Invalid(printable(&format!("{error:#}")))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // The rest is for the functions of WASI, which run on the same stack.
        .async_stack_size(STACK + (1 << 20))
        // Policies are synchronous; without this a call costs less.
        .concurrency_support(false)
        // The same input gives the same decision: no bits that depend on the machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Nobody sees a backtrace, and without these tables a thousand policies take less memory.
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}
