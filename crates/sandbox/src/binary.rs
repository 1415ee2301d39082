//! What kind of file a policy is, by its bytes.

use std::borrow::Cow;

use wasmparser::{Chunk, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::error::LoadError;
use crate::output::printable;

/// How every WebAssembly file begins.
const MAGIC: &[u8] = b"\0asm";
/// What follows in a core module: version 1, layer 0.
const MODULE: [u8; 4] = [1, 0, 0, 0];
/// What follows in a component: version 13, layer 1.
const COMPONENT: [u8; 4] = [13, 0, 1, 0];
/// How many instances a component may unfold into. The compiler needs about 1 KiB for each, and a file of a few
/// kilobytes whose components instantiate one another twice unfolds into any number.
const PARTS: usize = 10_000;

/// The file's component: the file itself, or what is made of the core module of a crate that uses `keyrelay-policy`.
pub(crate) fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    if bytes.is_empty() {
        return Err(LoadError::Empty);
    }
    if MAGIC.starts_with(bytes) {
        return Err(LoadError::CutOff);
    }
    let Some(after_magic) = bytes.strip_prefix(MAGIC) else {
        return Err(LoadError::NotWebAssembly);
    };
    if parts(bytes)? > PARTS {
        return Err(LoadError::Parts { limit: PARTS });
    }
    if after_magic.starts_with(&COMPONENT) {
        Ok(Cow::Borrowed(bytes))
    } else if after_magic.starts_with(&MODULE) {
        encode(bytes).map(Cow::Owned)
    } else {
        Err(LoadError::Invalid(
            "it is of an unknown version of WebAssembly".to_owned(),
        ))
    }
}

/// The names of what the file's component imports, but for the types of the contract.
pub(crate) fn imports(bytes: &[u8]) -> Result<Vec<String>, LoadError> {
    let component = component(bytes)?;
    let mut imports = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(&component) {
        match payload.map_err(|error| LoadError::Invalid(error.to_string()))? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(|error| LoadError::Invalid(error.to_string()))?;
                    imports.push(printable(import.name.name));
                }
            }
            _ => {}
        }
    }
    // The types of the contract are no way out, and have names without a package.
    imports.retain(|import| import.contains(':') && !import.starts_with("keyrelay:policy/types"));
    Ok(imports)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, LoadError> {
    let no_component = |error| LoadError::NoComponent(printable(&format!("{error:#}")));
    let (_, types) = wit_component::metadata::decode(module).map_err(no_component)?;
    if types
        .resolve
        .worlds
        .get(types.world)
        .is_none_or(|world| world.exports.is_empty())
    {
        return Err(LoadError::NoTypes);
    }
    // It is validated when it is compiled.
    let encoder = ComponentEncoder::default().validate(false);
    encoder
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(no_component)
}

/// What one component, or module, instantiates.
#[derive(Default)]
struct Level {
    core_instances: usize,
    component_instances: usize,
}

/// How many instances the file unfolds into at most: every component that is instantiated is taken for the largest one
/// that is defined before. Walks over the whole file, and finds out whether it is whole.
fn parts(bytes: &[u8]) -> Result<usize, LoadError> {
    let mut rest = bytes;
    let mut parser = Parser::new(0);
    let mut outer: Vec<(Parser, Level)> = Vec::new();
    let mut level = Level::default();
    let mut largest: usize = 0;
    loop {
        let payload = match parser
            .parse(rest, false)
            .map_err(|error| LoadError::Invalid(error.to_string()))?
        {
            // The parser always asks for more after the last section of a file.
            Chunk::NeedMoreData(_) if rest.is_empty() && outer.is_empty() => break,
            Chunk::NeedMoreData(_) => return Err(LoadError::CutOff),
            Chunk::Parsed { consumed, payload } => {
                rest = rest.get(consumed..).unwrap_or_default();
                payload
            }
        };
        match payload {
            Payload::ModuleSection { parser: inner, .. }
            | Payload::ComponentSection { parser: inner, .. } => {
                outer.push((
                    std::mem::replace(&mut parser, inner),
                    std::mem::take(&mut level),
                ));
            }
            Payload::InstanceSection(instances) => {
                level.core_instances += instances.count() as usize
            }
            Payload::ComponentInstanceSection(instances) => {
                level.component_instances += instances.count() as usize
            }
            Payload::CodeSectionStart { size, .. } => {
                parser.skip_section();
                rest = rest.get(size as usize..).ok_or(LoadError::CutOff)?;
            }
            Payload::End(_) => {
                largest = largest.max(level.parts(largest));
                if let Some((outer_parser, outer_level)) = outer.pop() {
                    (parser, level) = (outer_parser, outer_level);
                }
            }
            _ => {}
        }
    }
    Ok(level.parts(largest))
}

impl Level {
    fn parts(&self, largest: usize) -> usize {
        self.component_instances
            .saturating_mul(largest.saturating_add(1))
            .saturating_add(self.core_instances)
    }
}
