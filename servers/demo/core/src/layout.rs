//! How the table looks.

use alloc::format;
use alloc::string::String;
use core::fmt;
use tocsin_proto::report::Row;

use crate::table::{StoreRows, Table};

/// A requester id as people write it: `bus:device.function`.
#[derive(Clone, Copy, Debug)]
pub struct Bdf(pub u16);

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.0 >> 8, self.0 >> 3 & 0x1f, self.0 & 7)
    }
}

/// The heading; its columns are those of [`line`]. With an ITS an entry is the device's own
/// EventID, and a vector the message's LPI.
pub const HEADING: &str = "device     requester  store        slot  entry  vector  cpu  \
     address     data        fired  delivered  coalesced";

/// One row.
pub fn line(row: &Row, f: &mut impl fmt::Write) -> fmt::Result {
    write!(f, "{:04x}:{:04x}  {:<9}  {:<11} ", row.vendor, row.device, Padded(row), row.kind)?;
    write!(f, "{:>5}  ", row.slot)?;
    match row.entry {
        Some(entry) => write!(f, "{entry:>5}  ")?,
        None => f.write_str("    -  ")?,
    }
    write!(f, "{:>6}  {:>3}  ", vector(row.vector.into()), row.cpu)?;
    write!(f, "{:#010x}  {:#010x}  ", row.address, row.data)?;
    write!(f, "{:>5}  {:>9}  {:>9}", row.fired, row.delivered, row.coalesced)
}

/// A CPU's vector as the x86 manuals write them, an INTID as Arm's do.
fn vector(number: u32) -> String {
    if number < 256 { format!("{number:#04x}") } else { format!("{number}") }
}

/// The requester id of a row, so that a width applies to it as a whole.
struct Padded<'a>(&'a Row);

impl fmt::Display for Padded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Always seven characters: two digits, colon, two digits, dot, one digit.
        Bdf(self.0.requester).fmt(f)?;
        f.write_str("  ")
    }
}

/// The sums of a store with more rows than are shown.
pub fn sums(store: &StoreRows, f: &mut impl fmt::Write) -> fmt::Result {
    let rows = store.rows;
    write!(f, "  all {} slots of {}: ", rows.slots, store.kind())?;
    write!(f, "fired {}, delivered {}, ", rows.fired, rows.delivered)?;
    let merged = rows.fired - (rows.delivered + rows.coalesced).min(rows.fired);
    write!(f, "coalesced {}, merged by the CPU's controller {merged}", rows.coalesced)?;
    match store.summary {
        Some(said) => write!(f, "; at most {} active at once", said.active),
        None => Ok(()),
    }
}

/// Writes the whole table, one call of `print` per line.
pub fn print(table: &Table, mut print: impl FnMut(&str)) {
    let mut text = String::new();
    let mut each = |write: &dyn Fn(&mut String) -> fmt::Result| {
        text.clear();
        // Writing into a string can not fail.
        let _ = write(&mut text);
        print(&text);
    };
    each(&|text| fmt::Write::write_str(text, HEADING));
    for store in table.stores() {
        for row in &store.first {
            each(&|text| line(row, text));
        }
        if store.hidden() > 0 {
            each(&|text| {
                fmt::Write::write_fmt(text, format_args!("  ... {} more", store.hidden()))
            });
        }
        for row in &store.last {
            each(&|text| line(row, text));
        }
        if store.rows.slots > 1 {
            each(&|text| sums(store, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{row, summary};
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use tocsin_proto::StoreKind;

    fn printed(table: &Table) -> Vec<String> {
        let mut lines = Vec::new();
        print(table, |line| lines.push(line.to_string()));
        lines
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let mut table = Table::default();
        table.add(row(StoreKind::QueueMemory, 2047));
        let lines = printed(&table);
        assert_eq!(lines[0], HEADING);
        assert_eq!(
            lines[1],
            "1000:0012  00:04.0    QueueMemory  2047   2047    0x31    1  \
             0xfee00010  0x000007ff      4          2          1"
        );
        assert_eq!(lines[1].len(), HEADING.len());
        for (name, end) in [("slot", "2047"), ("vector", "0x31"), ("cpu", "1"), ("fired", "4")] {
            let right = HEADING.find(name).expect("a column") + name.len();
            assert!(lines[1][..right].ends_with(end), "{name}");
        }
    }

    #[test]
    fn an_lpi_fits_under_its_heading() {
        let lpi = Row { vector: 0xffff, ..row(StoreKind::MsiX, 0) };
        let (mut short, mut text) = (String::new(), String::new());
        line(&row(StoreKind::MsiX, 0), &mut short).unwrap();
        line(&lpi, &mut text).unwrap();
        assert_eq!(text.len(), short.len());
    }

    #[test]
    fn vectors_are_written_as_their_manuals_do() {
        let texts = [0x31, 255, 8192, 65_535].map(vector);
        assert_eq!(texts, ["0x31", "0xff", "8192", "65535"]);
        // All fit their column.
        assert!(texts.iter().all(|text| text.len() <= "vector".len()));
    }

    #[test]
    fn many_slots_are_first_three_last_two_and_a_sum() {
        let mut table = Table::default();
        for slot in 0..256 {
            table.add(row(StoreKind::DeviceArray, slot));
        }
        table.summary(summary(StoreKind::DeviceArray, 256));
        let lines = printed(&table);
        assert_eq!(lines.len(), 1 + 3 + 1 + 2 + 1);
        assert_eq!(lines[4], "  ... 251 more");
        assert_eq!(
            lines[7],
            "  all 256 slots of DeviceArray: fired 1024, delivered 512, coalesced 256, \
             merged by the CPU's controller 256; at most 99 active at once"
        );
    }

    #[test]
    fn a_machine_without_remapper_has_no_entry() {
        let mut table = Table::default();
        table.add(Row { entry: None, ..row(StoreKind::PciMsi, 0) });
        assert!(printed(&table)[1].contains("    0      -    0x31"));
        assert_eq!(printed(&table).len(), 2);
    }

    #[test]
    fn requesters_read_as_bus_device_function() {
        assert_eq!(Bdf(0x0020).to_string(), "00:04.0");
        assert_eq!(Bdf(0xffff).to_string(), "ff:1f.7");
    }
}
