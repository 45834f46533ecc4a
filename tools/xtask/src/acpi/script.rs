//! The script that tells firmware how to install tables: `etc/table-loader` (QEMU,
//! `hw/acpi/bios-linker-loader.c`). 128 bytes for each command: its number, then names of files in 56
//! bytes each, and numbers.

const COMMAND_BYTES: usize = 128;
const NAME_BYTES: usize = 56;

pub const TABLES: &str = "etc/acpi/tables";
pub const ROOT: &str = "etc/acpi/rsdp";

/// Where a file goes.
#[derive(Clone, Copy)]
pub enum Zone {
    /// Anywhere below 4 GiB.
    High = 1,
    /// Where the root pointer is looked for (ACPI 6.5 §5.2.5.1).
    Low = 2,
}

/// Commands, in their order.
#[derive(Default)]
pub struct Script(Vec<u8>);

impl Script {
    /// Loads a file.
    pub fn allocate(&mut self, file: &str, align: u32, zone: Zone) {
        self.command(1, &[&name(file), &align.to_le_bytes(), &[zone as u8]]);
    }

    /// Adds the address of `TABLES` to the four bytes at `offset` in `file`.
    pub fn add_pointer(&mut self, file: &str, offset: usize) {
        let offset = (offset as u32).to_le_bytes();
        self.command(2, &[&name(file), &name(TABLES), &offset, &[4]]);
    }

    /// Makes the bytes `start..start + length` of `file` add up to zero by the one at `offset`.
    pub fn add_checksum(&mut self, file: &str, offset: usize, start: usize, length: usize) {
        let [offset, start, length] =
            [offset, start, length].map(|number| (number as u32).to_le_bytes());
        self.command(3, &[&name(file), &offset, &start, &length]);
    }

    /// The file.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    fn command(&mut self, number: u32, fields: &[&[u8]]) {
        let end = self.0.len() + COMMAND_BYTES;
        self.0.extend(number.to_le_bytes());
        self.0.extend(fields.concat());
        self.0.resize(end, 0);
    }
}

fn name(text: &str) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_size_and_places() {
        let mut script = Script::default();
        script.allocate(ROOT, 16, Zone::Low);
        script.add_pointer(TABLES, 0x1234);
        script.add_checksum(TABLES, 9, 0, 40);
        let bytes = script.bytes();
        assert_eq!(bytes.len(), 3 * 128);
        assert_eq!(bytes[..4], [1, 0, 0, 0]);
        assert_eq!(&bytes[4..17], b"etc/acpi/rsdp");
        assert_eq!(bytes[60..65], [16, 0, 0, 0, 2]);
        assert_eq!(&bytes[128 + 60..128 + 75], b"etc/acpi/tables");
        assert_eq!(bytes[128 + 116..128 + 121], [0x34, 0x12, 0, 0, 4]);
        assert_eq!(bytes[256 + 60..256 + 72], [9, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0]);
    }
}
