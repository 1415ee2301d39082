//! One engine and its WASI linker.

use std::sync::OnceLock;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use crate::error::LoadError;
use crate::store_data::StoreData;
use crate::wasi_linker;

/// An engine, with the linker for the components that import WASI.
pub(crate) struct Compiler {
    engine: Engine,
    /// Filled by the first policy that imports WASI. Policies in Rust do not, and linking it costs
    /// time.
    wasi: OnceLock<wasmtime::Result<Linker<StoreData>>>,
}

impl Compiler {
    pub(crate) fn new(config: &Config) -> wasmtime::Result<Self> {
        Ok(Self {
            engine: Engine::new(config)?,
            wasi: OnceLock::new(),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The linker for components that import WASI.
    pub(crate) fn wasi(&self) -> Result<&Linker<StoreData>, LoadError> {
        let link = || {
            let mut linker = Linker::new(&self.engine);
            wasi_linker::link(&mut linker)?;
            Ok(linker)
        };
        let linked = self.wasi.get_or_init(link);
        linked
            .as_ref()
            .map_err(|error| LoadError::Compile(format!("WASI cannot be linked: {error:#}")))
    }
}
