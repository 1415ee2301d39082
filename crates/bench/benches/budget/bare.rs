//! The floor: a policy run by wasmtime, with nothing around it: no limits, no clock, no WASI.

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

wasmtime::component::bindgen!({ path: "../policy-sdk/wit", world: "policy" });

pub(crate) use keyrelay::policy::types;

/// A policy that is ready to be instantiated.
pub(crate) struct Bare {
    engine: Engine,
    linked: PolicyPre<()>,
}

impl Bare {
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

    /// A new store, an instance in it, the call, and the end of both.
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
