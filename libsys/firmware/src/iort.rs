//! IORT: how the ids of requests change on the way from a device to an ITS (IORT chapter 3).
//!
//! The table is a graph: a root complex, or a device of its own, has *id mappings* that lead to an SMMU or to an ITS
//! group; an SMMU has mappings that lead to an ITS group. [`Iort::to_its`] follows them.

use crate::{
    Error, Signature, Table,
    bytes::{u8_at, u16_at, u32_at},
};

/// Bytes of what all nodes begin with.
const NODE_BYTES: usize = 16;
/// Bytes of an id mapping.
const MAPPING_BYTES: usize = 20;
/// Steps from a device to its ITS: a device, an SMMU, an ITS group, and as much again for what may come. A table whose
/// nodes lead in a circle ends here.
const MAX_STEPS: usize = 6;

/// The I/O remapping table.
#[derive(Clone, Copy, Debug)]
pub struct Iort<'a> {
    table: Table<'a>,
    first: usize,
    count: usize,
}

/// What a node is (IORT, node types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Type 0: interrupt translation services, each of which takes the same ids.
    ItsGroup,
    /// Type 1: a device that is not behind PCI.
    NamedComponent,
    /// Type 2: a PCI root complex.
    RootComplex,
    /// Types 3 and 4: an SMMU.
    Smmu,
    /// Any other.
    Other(u8),
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// What it is.
    pub kind: NodeKind,
    /// Where it is in the table: what mappings refer to.
    pub offset: usize,
    bytes: &'a [u8],
    mappings: &'a [u8],
}

/// An id mapping: inputs `first..=last` come out at a node as `output` and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First id that goes in.
    pub first: u32,
    /// Last id that goes in.
    pub last: u32,
    /// What the first becomes.
    pub output: u32,
    /// Offset of the node that it comes to.
    pub reference: usize,
    /// There is one output whatever goes in: for a device's own messages, such as those of an SMMU.
    pub single: bool,
}

impl Mapping {
    /// What an id becomes, if this mapping is for it.
    pub const fn apply(&self, id: u32) -> Option<u32> {
        if self.single {
            return Some(self.output);
        }
        if id < self.first || id > self.last {
            return None;
        }
        // Cannot overflow: `decode_mapping` has checked the last.
        Some(self.output + (id - self.first))
    }
}

impl<'a> Node<'a> {
    /// Its id mappings; one with impossible values is an `Err` item.
    pub fn mappings(&self) -> impl Iterator<Item = Result<Mapping, Error>> + use<'a> {
        self.mappings.chunks(MAPPING_BYTES).map(decode_mapping)
    }

    /// The segment of a root complex (IORT, root complex node).
    pub fn segment(&self) -> Result<u32, Error> {
        u32_at(self.bytes, NODE_BYTES + 12, "IORT root complex")
    }

    /// The GIC ITS IDs of an ITS group (IORT, ITS group node).
    pub fn its_ids(&self) -> Result<impl Iterator<Item = u32> + use<'a>, Error> {
        let what = "IORT ITS group";
        let count = u32_at(self.bytes, NODE_BYTES, what)?;
        let ids = self.bytes.get(NODE_BYTES + 4..).unwrap_or_default().as_chunks::<4>().0;
        let ids = ids.get(..count as usize).ok_or(Error::Truncated {
            what,
            needed: (count as usize).saturating_mul(4).saturating_add(NODE_BYTES + 4),
            available: self.bytes.len(),
        })?;
        Ok(ids.iter().map(|id| u32::from_le_bytes(*id)))
    }
}

fn decode_mapping(bytes: &[u8]) -> Result<Mapping, Error> {
    let what = "IORT id mapping";
    let field = |at| u32_at(bytes, at, what);
    // "The number of IDs minus one".
    let (first, more, output) = (field(0)?, field(4)?, field(8)?);
    let bad = |what, value: u32| Err(Error::BadValue { what, value: value.into() });
    let Some(last) = first.checked_add(more) else {
        return bad("IORT mapping input", first);
    };
    if output.checked_add(more).is_none() {
        return bad("IORT mapping output", output);
    }
    let reference = field(12)? as usize;
    let single = field(16)? & 1 != 0;
    Ok(Mapping { first, last, output, reference, single })
}

impl<'a> Iort<'a> {
    /// Checks header, length and checksum, and where the nodes begin.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let what = "IORT";
        let table = Table::parse_as(bytes, Signature::IORT)?;
        let count = u32_at(table.bytes(), 36, what)? as usize;
        let first = u32_at(table.bytes(), 40, what)? as usize;
        if count > 0 && !(48..table.bytes().len()).contains(&first) {
            return Err(Error::BadValue { what: "IORT node array", value: first as u64 });
        }
        Ok(Self { table, first, count })
    }

    /// The node at an offset.
    pub fn node(&self, offset: usize) -> Result<Node<'a>, Error> {
        let what = "IORT node";
        let rest = self.table.bytes().get(offset..).unwrap_or_default();
        let length = usize::from(u16_at(rest, 1, what)?);
        if length < NODE_BYTES {
            return Err(Error::BadLength { what, length: length as u64 });
        }
        let bytes = rest.get(..length).ok_or(Error::Truncated {
            what,
            needed: length,
            available: rest.len(),
        })?;
        let count = u32_at(bytes, 8, what)? as usize;
        let at = u32_at(bytes, 12, what)? as usize;
        let end = count.checked_mul(MAPPING_BYTES).and_then(|size| at.checked_add(size));
        let mappings = match end {
            _ if count == 0 => &[],
            Some(end) if at >= NODE_BYTES && end <= length => &bytes[at..end],
            _ => return Err(Error::BadValue { what: "IORT mapping array", value: at as u64 }),
        };
        let kind = match u8_at(bytes, 0, what)? {
            0 => NodeKind::ItsGroup,
            1 => NodeKind::NamedComponent,
            2 => NodeKind::RootComplex,
            3 | 4 => NodeKind::Smmu,
            other => NodeKind::Other(other),
        };
        Ok(Node { kind, offset, bytes, mappings })
    }

    /// All nodes. The first broken one is an `Err` and the last item.
    pub fn nodes(&self) -> impl Iterator<Item = Result<Node<'a>, Error>> + use<'a> {
        let iort = *self;
        let mut next = self.first;
        let mut left = self.count;
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let node = iort.node(next);
            match &node {
                // A node is at least 16 bytes, so the walk advances.
                Ok(node) => next += node.bytes.len(),
                Err(_) => left = 0,
            }
            Some(node)
        })
    }

    /// Follows the mappings of `node` for requests with this id. The answer is the GIC ITS ID of the first ITS of the group
    /// that they come to, and the id that arrives there; `None` when no mapping leads on.
    pub fn to_its(&self, node: &Node<'a>, id: u32) -> Result<Option<(u32, u32)>, Error> {
        let (mut node, mut id) = (*node, id);
        for _ in 0..MAX_STEPS {
            if node.kind == NodeKind::ItsGroup {
                return Ok(node.its_ids()?.next().map(|its| (its, id)));
            }
            let mut next = None;
            for mapping in node.mappings() {
                let mapping = mapping?;
                // An SMMU's single mappings are for its own messages, not for those that pass through it.
                if mapping.single && node.kind == NodeKind::Smmu {
                    continue;
                }
                if let Some(output) = mapping.apply(id) {
                    next = Some((mapping.reference, output));
                    break;
                }
            }
            let Some((reference, output)) = next else { return Ok(None) };
            (node, id) = (self.node(reference)?, output);
        }
        Err(Error::BadValue { what: "IORT mapping (it leads in a circle)", value: id.into() })
    }

    /// The root complexes of a segment. A segment can have several, each with mappings for some of its ids.
    pub fn root_complexes(&self, segment: u16) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.nodes().filter_map(Result::ok).filter(move |node| {
            node.kind == NodeKind::RootComplex && node.segment() == Ok(segment.into())
        })
    }
}
