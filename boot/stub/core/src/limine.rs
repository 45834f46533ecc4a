//! The numbers of the Limine boot protocol that the stub speaks (`PROTOCOL.md` and `limine.h` of
//! Limine; the section of each feature has its name). The `limine` crate is the kernel's side of
//! the protocol and cannot write answers; the tests of this crate read the answers through it.

/// The highest base revision that the stub knows.
pub const BASE_REVISION: u64 = 3;

/// The lowest one: revision 0 wants all memory mapped at its physical address as well.
pub const OLDEST_BASE_REVISION: u64 = 1;

/// The smallest stack that the protocol allows.
pub const STACK_SIZE: u64 = 64 * 1024;

/// First two words of a base revision tag; the third is the revision.
pub const BASE_REVISION_TAG: [u64; 2] = [0xf956_2b2d_5c95_a6c8, 0x6a7b_3849_4453_6bdc];

/// Everything before the last of these is not searched for requests.
pub const START_MARKER: [u64; 4] =
    [0xf6b8_f4b3_9de7_d1ae, 0xfab9_1a69_40fc_b9cf, 0x785c_6ed0_15d3_e316, 0x181e_920a_7852_b9d9];

/// Nothing behind the first of these is searched.
pub const END_MARKER: [u64; 2] = [0xadc0_e053_1bb1_0d03, 0x9572_709f_3176_4c62];

/// First two words of every request; the other two of its id say what it asks for.
pub const REQUEST: [u64; 2] = [0xc7b1_dd30_df4c_8b88, 0x0a82_e883_a194_f07b];

/// Words of a request: id (4), revision, response; further members follow.
pub mod word {
    /// The request's revision.
    pub const REVISION: usize = 4;
    /// The pointer to the response, which the loader fills in.
    pub const RESPONSE: usize = 5;
    /// The first member that only some requests have.
    pub const FIRST_MEMBER: usize = 6;
}

/// A feature that the stub can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Name and version of the loader.
    BootloaderInfo,
    /// A larger stack.
    StackSize,
    /// Where physical memory is mapped.
    DirectMap,
    /// Four or five levels of page tables.
    PagingMode,
    /// The memory map.
    MemoryMap,
    /// Another entry point than the file's.
    EntryPoint,
    /// The kernel's own file, with its command line.
    ExecutableFile,
    /// The boot modules.
    Modules,
    /// The ACPI root pointer.
    Rsdp,
    /// Where the kernel was loaded.
    ExecutableAddress,
    /// The kernel's command line.
    ExecutableCommandLine,
    /// The flattened device tree.
    DeviceTree,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::BootloaderInfo,
        Self::StackSize,
        Self::DirectMap,
        Self::PagingMode,
        Self::MemoryMap,
        Self::EntryPoint,
        Self::ExecutableFile,
        Self::Modules,
        Self::Rsdp,
        Self::ExecutableAddress,
        Self::ExecutableCommandLine,
        Self::DeviceTree,
    ];

    /// The last two words of its request's id.
    pub const fn id(self) -> [u64; 2] {
        match self {
            Self::BootloaderInfo => [0xf550_38d8_e2a1_202f, 0x2794_26fc_f5f5_9740],
            Self::StackSize => [0x224e_f046_0a8e_8926, 0xe1cb_0fc2_5f46_ea3d],
            Self::DirectMap => [0x48dc_f1cb_8ad2_b852, 0x6398_4e95_9a98_244b],
            Self::PagingMode => [0x95c1_a0ed_ab09_44cb, 0xa4e5_cb38_42f7_488a],
            Self::MemoryMap => [0x67cf_3d9d_378a_806f, 0xe304_acdf_c50c_3c62],
            Self::EntryPoint => [0x13d8_6c03_5a1c_d3e1, 0x2b0c_aa89_d8f3_026a],
            Self::ExecutableFile => [0xad97_e90e_83f1_ed67, 0x31eb_5d1c_5ff2_3b69],
            Self::Modules => [0x3e7e_2797_02be_32af, 0xca1c_4f3b_d128_0cee],
            Self::Rsdp => [0xc5e7_7b6b_397e_7b43, 0x2763_7845_accd_cf3c],
            Self::ExecutableAddress => [0x71ba_7686_3cc5_5f63, 0xb264_4a48_c516_a487],
            Self::ExecutableCommandLine => [0x4b16_1536_e598_651e, 0xb390_ad4a_2f1f_303a],
            Self::DeviceTree => [0xb40d_db48_fb54_bac7, 0x5450_8149_3f81_ffb7],
        }
    }

    /// How many words a request of this kind has at least.
    pub const fn words(self) -> usize {
        match self {
            Self::StackSize | Self::PagingMode | Self::EntryPoint => word::FIRST_MEMBER + 1,
            _ => word::FIRST_MEMBER,
        }
    }
}
