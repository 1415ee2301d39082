#![doc = include_str!("../README.md")]

mod archive;
mod layout;

pub use archive::{Files, PackError, UnpackError, pack, unpack};
pub use layout::{HOST, UnsafeName, belongs, check_name};
