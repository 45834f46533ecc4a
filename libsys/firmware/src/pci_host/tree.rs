//! Host bridges from a device tree.

use dtoolkit::{Property, ToCellInt};
use heapless::Vec;

use super::ids::Rule;
use super::{DeviceIds, Host, Hosts, MAX_HOSTS, MAX_RULES, MAX_WINDOWS, Window, WindowSpace};
use crate::arm::{self, Error, Fault, MAX_ITS, Part};
use crate::mcfg::Segment;
use crate::nodes::{Nodes, Place};
use crate::tree;

/// Host bridges whose configuration space is ECAM and that firmware has set up (bindings, `pci/host-generic-pci.yaml`).
const ECAM: &[&str] = &["pci-host-ecam-generic"];

/// The space code of an address's first cell (OF 2.2.1.1).
const SPACE_SHIFT: u32 = 24;
const PREFETCHABLE: u32 = 1 << 30;

impl Hosts<'_> {
    /// Reads a flattened device tree. `bytes` may be longer than it is. A host bridge that is described wrongly is left
    /// out and noted.
    pub fn from_device_tree(bytes: &[u8]) -> Result<Hosts<'static>, Error> {
        let tree = tree::open(bytes)?;
        let its = arm::its_nodes(tree).flatten().map(|(_, phandle)| phandle);
        let its: Vec<_, MAX_ITS> = its.take(MAX_ITS).collect();
        let mut hosts = Hosts::default();
        let mut rules = Vec::new();
        for place in Nodes::of(tree) {
            if !is_host(&place) {
                continue;
            }
            let number = hosts.hosts.len();
            let found = segment(&place, number).and_then(|segment| {
                let windows = Vec::new();
                hosts.hosts.push(Host { segment, windows }).map_err(|_| {
                    let kept = MAX_HOSTS;
                    Fault::TooMany { kept }
                })?;
                Ok(segment)
            });
            let segment = match found {
                Ok(segment) => segment,
                Err(fault) => {
                    hosts.note(Part::PciHost, fault);
                    continue;
                }
            };
            hosts.read_windows(&place);
            if let Err(fault) = add_rules(&place, segment.segment, &its, &mut rules) {
                hosts.note(Part::DeviceIds, fault);
            }
        }
        hosts.ids = DeviceIds::from_rules(rules);
        Ok(hosts)
    }

    fn note(&mut self, part: Part, fault: Fault) {
        // A machine with more mistakes than notes has shown enough of them.
        let _ = self.notes.push(fault.of(part));
    }

    /// Adds the windows of the last host bridge.
    fn read_windows(&mut self, place: &Place<'_>) {
        let mut fault = None;
        if let Some(host) = self.hosts.last_mut() {
            fault = windows(place, &mut host.windows).err();
        }
        if let Some(fault) = fault {
            self.note(Part::PciWindow, fault);
        }
    }
}

/// Whether this is a host bridge that is taken.
pub(super) fn is_host(place: &Place<'_>) -> bool {
    place.is_compatible(ECAM) && place.is_enabled()
}

/// The configuration space of the host bridge that is the `number`th.
pub(super) fn segment(place: &Place<'_>, number: usize) -> Result<Segment, Fault> {
    let ecam = place.reg(0)?;
    let bad = |what, value| Err(Fault::BadValue { what, value });
    let (first, last) = match place.property("bus-range") {
        None => (0, 255),
        Some(range) => match range.value_as::<[u32; 2]>() {
            Ok([first, last]) if first <= last && last <= 255 => (first, last),
            Ok([first, _]) => return bad("`bus-range`", first.into()),
            Err(_) => return bad("the length of `bus-range`", range.value().len() as u64),
        },
    };
    // No more buses than there is configuration space for.
    let buses = ecam.size / Segment::BYTES_PER_BUS;
    if buses == 0 {
        return bad("the size of configuration space", ecam.size);
    }
    let last = u64::from(last).min(u64::from(first) + buses - 1);
    // Here `reg` begins with the first bus of the range, in the MCFG with bus 0.
    let first_bytes = u64::from(first) * Segment::BYTES_PER_BUS;
    let base = ecam.base.checked_sub(first_bytes);
    let Some(base) = base.filter(|base| base.is_multiple_of(Segment::BYTES_PER_BUS)) else {
        return bad("the address of configuration space", ecam.base);
    };
    // Domains that nobody has numbered are numbered as they come.
    let domain = place.number("linux,pci-domain").unwrap_or(number as u32);
    let Ok(segment) = u16::try_from(domain) else {
        return bad("`linux,pci-domain`", domain.into());
    };
    Ok(Segment { base, segment, first_bus: first as u8, last_bus: last as u8 })
}

/// Reads `ranges`: address on the bus (three cells), address above, size (bindings; OF 2.2.1.1).
fn windows(place: &Place<'_>, windows: &mut Vec<Window, MAX_WINDOWS>) -> Result<(), Fault> {
    let Some(ranges) = place.property("ranges") else { return Ok(()) };
    if place.number("#address-cells") != Some(3) {
        let value = place.number("#address-cells").unwrap_or(2).into();
        return Err(Fault::BadValue { what: "`#address-cells` of a PCI bus", value });
    }
    let above = place.parent_address_cells();
    let size = place.number("#size-cells").unwrap_or(2) as usize;
    let entries =
        ranges.as_prop_encoded_array([1, 2, above, size]).map_err(|_| Fault::BadRanges)?;
    for [space, pci, cpu, size] in entries {
        let (Ok(space), Ok(pci), Ok(cpu), Ok(size)) =
            (space.to_int::<u32>(), pci.to_int::<u64>(), cpu.to_int::<u64>(), size.to_int::<u64>())
        else {
            return Err(Fault::BadRanges);
        };
        let prefetchable = space & PREFETCHABLE != 0;
        let space = match space >> SPACE_SHIFT & 3 {
            0 => continue, // Configuration space; that is what `reg` is for.
            1 => WindowSpace::Io,
            2 => WindowSpace::Memory32,
            _ => WindowSpace::Memory64,
        };
        let limit = if space == WindowSpace::Memory64 { u64::MAX } else { 1 << 32 };
        if size == 0 || pci.checked_add(size).is_none_or(|end| end > limit) {
            return Err(Fault::BadRanges);
        }
        let cpu = place.translate(cpu, size)?;
        let window = Window { space, prefetchable, pci, cpu, size };
        windows.push(window).map_err(|_| Fault::TooMany { kept: MAX_WINDOWS })?;
    }
    Ok(())
}

/// Reads `msi-map` and `msi-map-mask`, or `msi-parent` (bindings, `pci/pci-msi.txt`). Entries that lead to something that
/// is no ITS of ours give no rule.
fn add_rules(
    place: &Place<'_>,
    segment: u16,
    its: &[Option<u32>],
    rules: &mut Vec<Rule, MAX_RULES>,
) -> Result<(), Fault> {
    let find = |phandle: u32| its.iter().position(|known| *known == Some(phandle));
    let mut add = |rule| rules.push(rule).map_err(|_| Fault::TooMany { kept: MAX_RULES });
    let Some(map) = place.property("msi-map") else {
        let parent = place.property("msi-parent");
        let phandle = parent.and_then(|parent| parent.value().first_chunk().copied());
        let Some(its) = phandle.map(u32::from_be_bytes).and_then(find) else { return Ok(()) };
        // All ids go there as they are.
        return add(Rule { segment, mask: 0xffff, first: 0, last: 0xffff, its, output: 0 });
    };
    let mask = place.number("msi-map-mask").unwrap_or(0xffff);
    let entries = map.as_prop_encoded_array([1, 1, 1, 1]).map_err(|_| {
        let what = "the length of `msi-map`";
        Fault::BadValue { what, value: map.value().len() as u64 }
    })?;
    for entry in entries {
        // One cell is always 32 bits.
        let [first, phandle, output, length] = entry.map(|cell| cell.to_int::<u32>().unwrap_or(0));
        let Some(more) = length.checked_sub(1) else { continue };
        let (Some(last), Some(_)) = (first.checked_add(more), output.checked_add(more)) else {
            return Err(Fault::BadValue { what: "a length in `msi-map`", value: length.into() });
        };
        if let Some(its) = find(phandle) {
            add(Rule { segment, mask, first, last, its, output })?;
        }
    }
    Ok(())
}
