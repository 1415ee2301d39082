//! Recognises a policy's file by its bytes, and converts it to a component.

use std::borrow::Cow;

use wasmparser::{Chunk, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::error::InvalidFile;
use crate::redaction::truncated;

/// The first bytes of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";
/// The next bytes of a core module: version 1, layer 0.
const MODULE: [u8; 4] = [1, 0, 0, 0];
/// The next bytes of a component: version 13, layer 1.
const COMPONENT: [u8; 4] = [13, 0, 1, 0];
/// The number of instances that a component may expand to. The compiler needs about 1 KiB for each.
/// A file of a few kilobytes whose nested components instantiate each other twice expands to any
/// number.
const MAX_INSTANCES: usize = 10_000;

/// Returns the file's component: the file itself, or the component made from a core module. A crate
/// that uses `keyrelay-policy` compiles to such a module.
pub(crate) fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, InvalidFile> {
    if bytes.is_empty() {
        return Err(InvalidFile::Empty);
    }
    if MAGIC.starts_with(bytes) {
        return Err(InvalidFile::CutOff);
    }
    let Some(after_magic) = bytes.strip_prefix(MAGIC) else {
        return Err(InvalidFile::NotWebAssembly);
    };
    if instances(bytes)? > MAX_INSTANCES {
        return Err(InvalidFile::Instances {
            limit: MAX_INSTANCES,
        });
    }
    if after_magic.starts_with(&COMPONENT) {
        Ok(Cow::Borrowed(bytes))
    } else if after_magic.starts_with(&MODULE) {
        encode(bytes).map(Cow::Owned)
    } else {
        Err(InvalidFile::Invalid(
            "it is of an unknown version of WebAssembly".to_owned(),
        ))
    }
}

/// The names of the component's imports, except the types of the contract.
pub(crate) fn imports(bytes: &[u8]) -> Result<Vec<String>, InvalidFile> {
    let component = component(bytes)?;
    let mut imports = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(&component) {
        match payload.map_err(|error| InvalidFile::Invalid(error.to_string()))? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(|error| InvalidFile::Invalid(error.to_string()))?;
                    imports.push(truncated(import.name.name));
                }
            }
            _ => {}
        }
    }
    // The types of the contract give no capability, and are imported by names without a package.
    imports.retain(|import| import.contains(':') && !import.starts_with("keyrelay:policy/types"));
    Ok(imports)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, InvalidFile> {
    let no_component = |error| InvalidFile::NoComponent(truncated(&format!("{error:#}")));
    let (_, types) = wit_component::metadata::decode(module).map_err(no_component)?;
    if types
        .resolve
        .worlds
        .get(types.world)
        .is_none_or(|world| world.exports.is_empty())
    {
        return Err(InvalidFile::NoTypes);
    }
    // The compiler validates it.
    let encoder = ComponentEncoder::default().validate(false);
    encoder
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(no_component)
}

/// The numbers of instances that one component or module creates.
#[derive(Default)]
struct InstanceCounts {
    core_instances: usize,
    component_instances: usize,
}

/// The upper bound of the number of instances that the file expands to. It counts every
/// instantiated component as the largest one defined before it. Parses the whole file, so it also
/// detects truncation.
fn instances(bytes: &[u8]) -> Result<usize, InvalidFile> {
    let mut rest = bytes;
    let mut parser = Parser::new(0);
    let mut outer: Vec<(Parser, InstanceCounts)> = Vec::new();
    let mut counts = InstanceCounts::default();
    let mut largest: usize = 0;
    loop {
        let is_end = rest.is_empty();
        let payload = match parser.parse(rest, is_end).map_err(|error| match is_end {
            true => InvalidFile::CutOff,
            false => InvalidFile::Invalid(error.to_string()),
        })? {
            Chunk::NeedMoreData(_) => return Err(InvalidFile::CutOff),
            Chunk::Parsed { consumed, payload } => {
                rest = rest.get(consumed..).unwrap_or_default();
                payload
            }
        };
        match payload {
            Payload::ModuleSection {
                parser: inner,
                unchecked_range: range,
            }
            | Payload::ComponentSection {
                parser: inner,
                unchecked_range: range,
            } => {
                if range.end > bytes.len() {
                    return Err(InvalidFile::CutOff);
                }
                outer.push((
                    std::mem::replace(&mut parser, inner),
                    std::mem::take(&mut counts),
                ));
            }
            Payload::InstanceSection(instances) => {
                counts.core_instances += instances.count() as usize
            }
            Payload::ComponentInstanceSection(instances) => {
                counts.component_instances += instances.count() as usize
            }
            Payload::CodeSectionStart { size, .. } => {
                parser.skip_section();
                rest = rest.get(size as usize..).ok_or(InvalidFile::CutOff)?;
            }
            Payload::End(_) => {
                let Some((outer_parser, outer_counts)) = outer.pop() else {
                    return Ok(counts.total(largest));
                };
                largest = largest.max(counts.total(largest));
                (parser, counts) = (outer_parser, outer_counts);
            }
            _ => {}
        }
    }
}

impl InstanceCounts {
    fn total(&self, largest: usize) -> usize {
        self.component_instances
            .saturating_mul(largest.saturating_add(1))
            .saturating_add(self.core_instances)
    }
}
