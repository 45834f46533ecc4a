//! Finding the ACPI root pointer (RSDP) where the virtual machine monitor did not say where it is:
//! ACPI specification 6.5, section 5.2.5.1, "Finding the RSDP on IA-PC systems".

/// Where the firmware's read-only memory may hold the RSDP.
pub const BIOS_AREA: core::ops::Range<u64> = 0xe_0000..0x10_0000;

/// Length of the structure's first version, which the first checksum covers.
pub const SIZE: usize = 20;

/// True if `bytes` start with an RSDP whose first checksum is right.
pub fn is_rsdp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RSD PTR ")
        && bytes
            .get(..SIZE)
            .is_some_and(|body| body.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) == 0)
}

/// Offset of the first RSDP in `area`; it lies on a 16-byte boundary.
pub fn find(area: &[u8]) -> Option<usize> {
    (0..area.len()).step_by(16).find(|&offset| is_rsdp(&area[offset..]))
}
