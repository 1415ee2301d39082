//! The floor of a decision: bare wasmtime, without limits, clock and WASI.

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

wasmtime::component::bindgen!({ path: "../policy-sdk/wit", world: "policy" });

pub(crate) use keyrelay::policy::types;

/// A compiled and linked policy.
pub(crate) struct BarePolicy {
    engine: Engine,
    linked: PolicyPre<()>,
}

impl BarePolicy {
    pub(crate) fn new(module: &[u8]) -> wasmtime::Result<Self> {
        let encoder = wit_component::ComponentEncoder::default();
        let component = encoder
            .module(module)
            .and_then(|mut encoder| encoder.encode())
            .unwrap();
        let engine = Engine::default();
        let component = Component::new(&engine, component)?;
        let linked = PolicyPre::new(Linker::new(&engine).instantiate_pre(&component)?)?;
        Ok(Self { engine, linked })
    }

    /// Decides in a new instance, like the sandbox.
    pub(crate) fn decide(
        &self,
        event: &types::Event,
        app: &types::App,
    ) -> Result<types::Decision, String> {
        let mut store = Store::new(&self.engine, ());
        let policy = self.linked.instantiate(&mut store).unwrap();
        policy.call_decide(&mut store, event, app).unwrap()
    }
}
