//! The files that are loaded as policies.

#[cfg(feature = "libfuzzer")]
mod generated;

use std::fmt::Write as _;
use std::sync::LazyLock;

use arbitrary::{Arbitrary as _, Unstructured};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use crate::made_of_bytes::{enum_of_bytes, struct_of_bytes};

/// The start of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";

/// The file that an input stands for: itself if it is WebAssembly, so that the corpus has real
/// policies, and otherwise one that is made from it.
pub(super) fn of(data: &[u8]) -> Option<Vec<u8>> {
    if data.starts_with(MAGIC) {
        return Some(data.to_vec());
    }
    let mut input = Unstructured::new(data);
    match input.int_in_range(0..=3).ok()? {
        #[cfg(feature = "libfuzzer")]
        0 => generated::component(&mut input).ok(),
        #[cfg(feature = "libfuzzer")]
        1 => generated::module(&mut input).ok(),
        _ => Script::arbitrary_take_rest(input).ok()?.module(),
    }
}

/// Adds the types of the contract to a core module.
fn typed(mut module: Vec<u8>) -> Option<Vec<u8>> {
    static WORLD: LazyLock<(Resolve, WorldId)> = LazyLock::new(|| {
        let mut resolve = Resolve::default();
        let text = include_str!("../../../crates/policy-sdk/wit/policy.wit");
        let package = resolve.push_str("policy.wit", text).expect("valid WIT");
        let world = resolve.select_world(&[package], None);
        (resolve, world.expect("the contract has one world"))
    });
    let (resolve, world) = &*WORLD;
    embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8).ok()?;
    Some(module)
}

struct_of_bytes! {
    /// A policy with a valid description, whose decision is written into its memory number by number.
    /// Its pointers and lengths can be anything, its own arguments included.
    #[derive(Debug)]
    struct Script {
        steps: Vec<Step>,
        result: Address,
        allocator: Allocator,
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Step {
        /// Writes a number.
        Store {
            at: u8,
            value: Number,
        },
        /// Copies a number of the arguments.
        Copy {
            from: u8,
            at: u8,
        },
        Grow {
            pages: u16,
        },
        Repeat {
            times: u16,
        },
        Recurse {
            times: u16,
        },
        Forever,
        Trap,
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Number {
        /// A case, a flag, a short length.
        Small(u8),
        /// An address where a result may be.
        Near(u16),
        Any(i32),
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Address {
        /// The result that the steps have written.
        Written,
        Any(i32),
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Allocator {
        /// Allocates one after another.
        Bump,
        Any(i32),
    }
}

/// The place of the result.
const RESULT: i32 = 64;

impl Number {
    fn get(&self) -> i32 {
        match self {
            Self::Small(number) => (*number).into(),
            Self::Near(number) => (*number).into(),
            Self::Any(number) => *number,
        }
    }
}

impl Script {
    fn module(&self) -> Option<Vec<u8>> {
        typed(wat::parse_str(self.text()).ok()?)
    }

    fn text(&self) -> String {
        let mut steps = String::new();
        for step in &self.steps {
            let written = writeln!(steps, "{}", step.text());
            written.expect("a string can be written");
        }
        let result = match self.result {
            Address::Written => RESULT,
            Address::Any(address) => address,
        };
        let allocator = match self.allocator {
            Allocator::Bump => {
                "(global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                 (global.get $next)
                 (global.set $next (i32.add (global.get $next) (local.get 3)))"
                    .to_owned()
            }
            Allocator::Any(address) => format!("(i32.const {address})"),
        };
        format!(
            r#"(module
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {allocator})
            (func $recurse (param i32)
              (if (local.get 0) (then (call $recurse (i32.sub (local.get 0) (i32.const 1))))))
            (func (export "describe") (result i32) (i32.const 128))
            (func (export "check-parameters") (param i32 i32) (result i32) (i32.const 200))
            (func (export "decide") (param $event i32) (result i32) (local $left i32)
              {steps} (i32.const {result}))
            (data (i32.const 1024) "a text")
            ;; `about`: three texts, a list of one occurrence, a view.
            (data (i32.const 128) "\00\04\00\00\06\00\00\00\00\04\00\00\01\00\00\00\00\04\00\00\06\00\00\00\a8\00\00\00\01\00\00\00\01\00"))"#
        )
    }
}

impl Step {
    fn text(&self) -> String {
        let place = |at: &u8| RESULT + 4 * i32::from(*at);
        match self {
            Self::Store { at, value } => {
                format!(
                    "(i32.store (i32.const {}) (i32.const {}))",
                    place(at),
                    value.get()
                )
            }
            Self::Copy { from, at } => format!(
                "(i32.store (i32.const {}) (i32.load (i32.add (local.get $event) (i32.const {}))))",
                place(at),
                4 * i32::from(*from)
            ),
            Self::Grow { pages } => format!("(drop (memory.grow (i32.const {pages})))"),
            Self::Repeat { times } => format!(
                "(local.set $left (i32.const {times}))
                 (loop $again (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                   (br_if $again (i32.gt_s (local.get $left) (i32.const 0))))"
            ),
            Self::Recurse { times } => format!("(call $recurse (i32.const {times}))"),
            Self::Forever => "(loop $again (br $again))".to_owned(),
            Self::Trap => "(unreachable)".to_owned(),
        }
    }
}

/// A policy that decides to refresh.
#[cfg(test)]
pub(super) fn refreshing() -> Vec<u8> {
    let store = |at, value| Step::Store {
        at,
        value: Number::Small(value),
    };
    let script = Script {
        // No error, and the second case.
        steps: vec![store(0, 0), store(1, 1)],
        result: Address::Written,
        allocator: Allocator::Bump,
    };
    script.module().unwrap()
}
