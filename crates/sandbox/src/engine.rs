//! How the engine is set up.

use wasmtime::{Config, Engine};

/// How deep a policy may call, in bytes of stack.
pub(crate) const STACK: usize = 1 << 20;

pub(crate) fn engine() -> wasmtime::Result<Engine> {
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
        .native_unwind_info(false)
        .memory_init_cow(false);
    Engine::new(&config)
}
