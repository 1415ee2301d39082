//! The custom handler's protocol: requests of the Functions host on 127.0.0.1, and their responses.

pub mod invocation;
pub(crate) mod pages;
pub mod routes;
