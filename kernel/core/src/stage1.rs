//! Arm's translation tables: descriptors of the VMSAv8-64 stage 1 format, with pages of 4 KiB
//! and addresses of 48 bits (Arm ARM DDI 0487, D8.3), and what names an address space.
//!
//! Only what the kernel itself writes has a meaning here. Anything else decodes to nothing.

/// Descriptors in a table.
pub const ENTRIES: usize = 512;
/// Level of the root; the last level is 3.
pub const ROOT_LEVEL: u32 = 0;
/// The level whose leaves are pages.
pub const PAGE_LEVEL: u32 = 3;
/// The level whose leaves are blocks of 2 MiB.
pub const BLOCK_LEVEL: u32 = 2;
/// Physical addresses that a descriptor can express.
pub const PHYSICAL_BYTES: u64 = 1 << 48;

/// The two lowest bits: a table, or at the last level a page.
const TABLE_OR_PAGE: u64 = 0b11;
/// The two lowest bits: a block.
const BLOCK: u64 = 0b01;
const KIND_MASK: u64 = 0b11;

// Attributes of leaves (D8.3.1.2). `ATTRIBUTE_INDEX` is a place in MAIR_EL1.
const ATTRIBUTE_INDEX: u32 = 2;
const ATTRIBUTE_MASK: u64 = 0b111 << ATTRIBUTE_INDEX;
/// `AP[1]`: user mode may, too.
const USER: u64 = 1 << 6;
/// `AP[2]`.
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Without it the first access would fault.
const ACCESSED: u64 = 1 << 10;
/// Translations belong to one address space only.
const NOT_GLOBAL: u64 = 1 << 11;
const PRIVILEGED_EXECUTE_NEVER: u64 = 1 << 53;
const USER_EXECUTE_NEVER: u64 = 1 << 54;
/// Bits 47 to 12.
const ADDRESS_MASK: u64 = 0x0000_ffff_ffff_f000;

/// Whose a mapping is. The kernel never executes a user's page, and a user nothing of the
/// kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The kernel's, in every address space.
    Kernel,
    /// One address space's.
    User,
}

/// What is there; the number is its place in `MAIR_EL1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// Memory, cached.
    Normal = 0,
    /// Registers: every access reaches the device, in order.
    Device = 1,
}

/// What may be done besides reading. Nothing is both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing.
    Read,
    /// Writing.
    Write,
    /// Executing.
    Execute,
}

/// A mapping: a page, or a block of a higher level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Physical address.
    pub address: u64,
    /// Whose it is.
    pub owner: Owner,
    /// What is there.
    pub memory: Memory,
    /// What may be done.
    pub access: Access,
}

/// One entry of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Descriptor {
    /// Nothing.
    None,
    /// The table of the next level.
    Table(u64),
    /// A mapping.
    Leaf(Leaf),
}

/// Place of an address in a table of this level.
#[must_use]
pub const fn index(address: u64, level: u32) -> usize {
    (address >> shift(level)) as usize % ENTRIES
}

/// Bytes that one entry of a table of this level is about.
#[must_use]
pub const fn span(level: u32) -> u64 {
    1 << shift(level)
}

const fn shift(level: u32) -> u32 {
    12 + 9 * (PAGE_LEVEL - level)
}

impl Descriptor {
    /// The bits of an entry in a table of this level. Leaves are for `BLOCK_LEVEL` and
    /// `PAGE_LEVEL`, tables for those above the last. Addresses are below `PHYSICAL_BYTES`.
    #[must_use]
    pub const fn encode(self, level: u32) -> u64 {
        match self {
            Descriptor::None => 0,
            Descriptor::Table(address) => address & ADDRESS_MASK | TABLE_OR_PAGE,
            Descriptor::Leaf(leaf) => {
                let kind = if level == PAGE_LEVEL { TABLE_OR_PAGE } else { BLOCK };
                leaf.address & ADDRESS_MASK | leaf.attributes() | kind
            }
        }
    }

    /// What the bits say, if `encode` makes such bits at this level.
    #[must_use]
    pub fn decode(bits: u64, level: u32) -> Option<Descriptor> {
        let descriptor = match bits & KIND_MASK {
            0 => Descriptor::None,
            TABLE_OR_PAGE if level < PAGE_LEVEL => Descriptor::Table(bits & ADDRESS_MASK),
            TABLE_OR_PAGE => Descriptor::Leaf(Leaf::from_bits(bits)),
            BLOCK if level == BLOCK_LEVEL => Descriptor::Leaf(Leaf::from_bits(bits)),
            _ => return None,
        };
        let aligned =
            !matches!(descriptor, Descriptor::Leaf(leaf) if leaf.address % span(level) != 0);
        (aligned && descriptor.encode(level) == bits).then_some(descriptor)
    }
}

impl Leaf {
    const fn attributes(self) -> u64 {
        let owner = match self.owner {
            Owner::User => USER | NOT_GLOBAL,
            Owner::Kernel => 0,
        };
        let access = match (self.access, self.owner) {
            (Access::Execute, Owner::User) => READ_ONLY | PRIVILEGED_EXECUTE_NEVER,
            (Access::Execute, Owner::Kernel) => READ_ONLY | USER_EXECUTE_NEVER,
            (Access::Read, _) => READ_ONLY | PRIVILEGED_EXECUTE_NEVER | USER_EXECUTE_NEVER,
            (Access::Write, _) => PRIVILEGED_EXECUTE_NEVER | USER_EXECUTE_NEVER,
        };
        let memory = (self.memory as u64) << ATTRIBUTE_INDEX;
        owner | access | memory | INNER_SHAREABLE | ACCESSED
    }

    /// The best guess; `decode` compares.
    fn from_bits(bits: u64) -> Leaf {
        let never = PRIVILEGED_EXECUTE_NEVER | USER_EXECUTE_NEVER;
        Leaf {
            address: bits & ADDRESS_MASK,
            owner: if bits & USER == 0 { Owner::Kernel } else { Owner::User },
            memory: if bits & ATTRIBUTE_MASK == 0 { Memory::Normal } else { Memory::Device },
            access: match (bits & never == never, bits & READ_ONLY == 0) {
                (false, _) => Access::Execute,
                (true, true) => Access::Write,
                (true, false) => Access::Read,
            },
        }
    }
}

/// An address space: its root table and its number, as `TTBR0_EL1` has them (D19.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space(u64);

const ASID_SHIFT: u32 = 48;

impl Space {
    /// From a root table's physical address and a number that no other address space has.
    #[must_use]
    pub const fn new(root: u64, asid: u16) -> Space {
        Space(root & ADDRESS_MASK | (asid as u64) << ASID_SHIFT)
    }

    /// From the bits of `TTBR0_EL1`.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Space {
        Space(bits)
    }

    /// For `TTBR0_EL1`.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The root table.
    #[must_use]
    pub const fn root(self) -> u64 {
        self.0 & ADDRESS_MASK
    }

    /// The number.
    #[must_use]
    pub const fn asid(self) -> u16 {
        (self.0 >> ASID_SHIFT) as u16
    }

    /// What `TLBI ASIDE1IS` takes: everything of this space (D8.17).
    #[must_use]
    pub const fn flush_all(self) -> u64 {
        (self.asid() as u64) << ASID_SHIFT
    }

    /// What `TLBI VALE1IS` takes: the page at `address` of this space.
    #[must_use]
    pub const fn flush_page(self, address: u64) -> u64 {
        self.flush_all() | address >> 12 & 0x0000_0fff_ffff_ffff
    }
}
