//! The WebAssembly engines: their configuration, and how a policy's file becomes linked machine code.

use wasmtime::component::Component;
use wasmtime::{Config, Engine};

use crate::binary;
use crate::bindings::PolicyPre;
use crate::compiler::Compiler;
use crate::contract;
use crate::error::{InvalidFile, LoadError};
use crate::limits::STACK;
use crate::precompiled::{MachineCode, NotUsed};
use crate::redaction::truncated;
use crate::store_data::StoreData;

/// The size, in bytes, from which a file gets an image of its initial memory. See [`Compilers`].
const LARGE: usize = 256 << 10;

/// Two engines that differ in how an instance gets its initial memory.
///
/// The engine for large policies keeps an image of the memory and maps it into each instance. A
/// policy that contains a Python interpreter decides in a sixth of the time with it. An image costs
/// a file descriptor, and a process often has only 1,024 of them. The few kilobytes of a small
/// policy are copied faster than mapped.
pub(crate) struct Compilers {
    small: Compiler,
    large: Compiler,
}

impl Compilers {
    pub(crate) fn new() -> wasmtime::Result<Self> {
        let mut config = config();
        let small = Compiler::new(config.memory_init_cow(false))?;
        let large = Compiler::new(config.memory_init_cow(true))?;
        Ok(Self { small, large })
    }

    pub(crate) fn engines(&self) -> [Engine; 2] {
        [&self.small, &self.large].map(|compiler| compiler.engine().clone())
    }

    /// Compiles a policy's file ahead of time, for [`deserialize`](Self::deserialize). The result
    /// runs on every machine of this architecture: it does not depend on the features of this
    /// processor.
    pub(crate) fn precompile(bytes: &[u8]) -> Result<Vec<u8>, InvalidFile> {
        let mut config = config();
        config.memory_init_cow(bytes.len() >= LARGE);
        if cfg!(target_os = "linux") {
            // An explicit target enables none of the detected features of this processor.
            config
                .target(&format!("{}-unknown-linux", std::env::consts::ARCH))
                .map_err(invalid)?;
        }
        let engine = Engine::new(&config).map_err(invalid)?;
        engine
            .precompile_component(&binary::component(bytes)?)
            .map_err(invalid)
    }

    /// Links the machine code of the policy's file `bytes`. The outer error says that it was made
    /// for another engine; the inner one that it is not a policy.
    pub(crate) fn deserialize(
        &self,
        bytes: &[u8],
        code: &MachineCode<'_>,
    ) -> Result<Result<PolicyPre<StoreData>, LoadError>, NotUsed> {
        let compiler = self.for_file(bytes);
        #[expect(
            unsafe_code,
            reason = "the engine cannot check machine code, so `MachineCode` has only its own output"
        )]
        // SAFETY: `MachineCode` holds the output of `precompile`: this program has just made it, or
        // the digest of the whole file is in `policies.lock`, which only `keyrelay` writes, and only
        // for its own output. The engine itself checks its version and the processor.
        let component = unsafe { Component::deserialize(compiler.engine(), code.serialized()) };
        let component =
            component.map_err(|error| NotUsed::OtherEngine(truncated(&format!("{error:#}"))))?;
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

fn invalid(error: wasmtime::Error) -> InvalidFile {
    InvalidFile::Invalid(truncated(&format!("{error:#}")))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // The other MiB is for the WASI functions, which run on the same stack.
        .async_stack_size(STACK + (1 << 20))
        // Policies are synchronous, and a call costs less without it.
        .concurrency_support(false)
        // Decisions must not depend on the machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Backtraces are not shown, and a thousand policies take less memory without these tables.
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}
