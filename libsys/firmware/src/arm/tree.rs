//! The machine from a device tree.

use dtoolkit::fdt::Fdt;
use dtoolkit::{Property, ToCellInt};

use super::interrupt::Parent;
use super::{
    Affinity, Conduit, Console, Cpu, Error, Fault, Its, ItsName, Part, Platform, Range,
    Redistributors, console,
};
use crate::nodes::{Nodes, Place};
use crate::tree;

/// Interrupt controllers of version 3 and 4.
pub(super) const GIC_V3: &[&str] = &["arm,gic-v3"];
/// Interrupt controllers of version 2: recognized, so that the kernel can say that it needs a newer one.
const GIC_V2: &[&str] = &["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a9-gic"];
const ITS: &[&str] = &["arm,gic-v3-its"];
/// Selects LPIs without an ITS. The GIC's binding knows `msi-controller` and `mbi-ranges` only, so this one is ours.
const DIRECT_LPI: &str = "tocsin,direct-lpi";
const TIMER: &[&str] = &["arm,armv8-timer", "arm,armv7-timer"];
const PSCI: &[&str] = &["arm,psci-1.0", "arm,psci-0.2"];

/// The interrupt translation services, each with its phandle. Everything that numbers them goes by this order.
pub(crate) fn its_nodes(
    tree: Fdt<'_>,
) -> impl Iterator<Item = Result<(Range, Option<u32>), Fault>> {
    let nodes = Nodes::of(tree).filter(|place| place.is_compatible(ITS) && place.is_enabled());
    nodes.map(|place| place.reg(0).map(|range| (range, place.phandle())))
}

impl Conduit {
    /// The one that a flattened device tree names, whatever else is in it: a boot loader can switch the machine off.
    pub fn from_device_tree(bytes: &[u8]) -> Option<Self> {
        let is_psci = |place: &Place<'_>| place.is_compatible(PSCI) && place.is_enabled();
        conduit(&Nodes::of(tree::open(bytes).ok()?).find(is_psci)?)
    }
}

fn conduit(psci: &Place<'_>) -> Option<Conduit> {
    match psci.text("method")? {
        "hvc" => Some(Conduit::Hvc),
        "smc" => Some(Conduit::Smc),
        _ => None,
    }
}

impl Platform {
    /// Reads a flattened device tree. `bytes` may be longer than it is.
    pub fn from_device_tree(bytes: &[u8]) -> Result<Self, Error> {
        let tree = tree::open(bytes)?;
        let root = Place::root(tree);
        let enabled = || Nodes::of(tree).filter(Place::is_enabled);
        let is_gic = |place: &Place<'_>| place.is_compatible(GIC_V3) || place.is_compatible(GIC_V2);
        let gic = enabled().find(is_gic).ok_or(Fault::Missing.of(Part::Gic))?;
        let version = if gic.is_compatible(GIC_V3) { 3 } else { 2 };
        let distributor = gic.reg(0).map_err(|fault| fault.of(Part::Gic))?;
        // Three cells, or four where PPIs differ between the CPUs.
        let cells = gic.number("#interrupt-cells").unwrap_or(3);
        if !(3..=4).contains(&cells) {
            let what = "`#interrupt-cells`";
            return Err(Fault::BadValue { what, value: cells.into() }.of(Part::Gic));
        }
        let parent = Parent { phandle: gic.phandle(), cells: cells as usize };
        let mut platform = Self::new(version, distributor);
        if version > 2 {
            platform.read_redistributors(&gic)?;
            platform.read_mbi(&gic);
        }
        for place in enabled() {
            if place.is_compatible(TIMER) {
                platform.read_timer(&place, &parent);
            } else if place.is_compatible(PSCI) {
                platform.read_psci(&place);
            }
        }
        for its in its_nodes(tree) {
            match its {
                Ok((range, phandle)) => {
                    platform.add_its(Its { range, name: ItsName::Phandle(phandle) });
                }
                Err(fault) => platform.note(Part::Its, fault),
            }
        }
        platform.read_cpus(&root)?;
        platform.read_console(tree, &parent);
        platform.complete()
    }

    fn read_redistributors(&mut self, gic: &Place<'_>) -> Result<(), Error> {
        let count = gic.number("#redistributor-regions").unwrap_or(1);
        let stride = match gic.property("redistributor-stride") {
            None => None,
            Some(property) => {
                let mut numbers = property.as_prop_encoded_array([property.value().len() / 4]).ok();
                let number = numbers.as_mut().and_then(Iterator::next);
                let stride = number.and_then(|[cells]| cells.to_int::<u64>().ok()).unwrap_or(0);
                // Two frames of 64 KiB are the least that a redistributor has (GIC 12.10).
                if stride < 0x2_0000 || stride % 0x1_0000 != 0 {
                    let what = "`redistributor-stride`";
                    let fault = Fault::BadValue { what, value: stride };
                    return Err(fault.of(Part::Redistributor));
                }
                Some(stride)
            }
        };
        for region in 0..count as usize {
            let range = gic.reg(region.saturating_add(1));
            let range = range.map_err(|fault| fault.of(Part::Redistributor))?;
            self.add_redistributors(Redistributors { range, stride });
        }
        Ok(())
    }

    fn read_mbi(&mut self, gic: &Place<'_>) {
        self.gic.mbi.msi_controller = gic.property("msi-controller").is_some();
        self.gic.direct_lpis = gic.property(DIRECT_LPI).is_some();
        if let Some(ranges) = gic.property("mbi-ranges") {
            let (pairs, rest) = ranges.value().as_chunks::<8>();
            let mut numbers = pairs.iter().map(|pair| {
                let pair = u64::from_be_bytes(*pair);
                ((pair >> 32) as u32, pair as u32)
            });
            // SPIs only (GIC 2.2), and at least one.
            let is_good = |(first, count): &(u32, u32)| {
                *first >= 32 && *count > 0 && u64::from(*first) + u64::from(*count) <= 1020
            };
            let all_good = rest.is_empty() && numbers.clone().all(|pair| is_good(&pair));
            if !all_good {
                let what = "`mbi-ranges`";
                self.note(Part::Mbi, Fault::BadValue { what, value: 0 });
            } else if numbers.any(|pair| self.gic.mbi.ranges.push(pair).is_err()) {
                let kept = super::MAX_MBI_RANGES;
                self.note(Part::Mbi, Fault::TooMany { kept });
            }
        }
        if let Some(alias) = gic.property("mbi-alias") {
            // An address in the terms of the GIC's parent bus.
            let number = alias.as_prop_encoded_array([alias.value().len() / 4]).ok();
            let number = number.and_then(|mut numbers| numbers.next());
            let address = number.and_then(|[cells]| cells.to_int::<u64>().ok());
            let page = address.ok_or(Fault::BadValue { what: "`mbi-alias`", value: 0 });
            match page.and_then(|address| gic.translate(address, 0x1_0000)) {
                Ok(address) => self.gic.mbi.alias = Some(address),
                Err(fault) => {
                    // Where devices must write to is not known: not the distributor's own page.
                    self.gic.mbi.ranges.clear();
                    self.note(Part::Mbi, fault);
                }
            }
        }
        if !self.gic.mbi.msi_controller {
            let spis = !self.gic.mbi.ranges.is_empty();
            let named = [(self.gic.direct_lpis, "`tocsin,direct-lpi`"), (spis, "`mbi-ranges`")];
            for (_, what) in named.into_iter().filter(|(there, _)| *there) {
                self.note(Part::Mbi, Fault::Without { what, other: "`msi-controller`" });
            }
        }
    }

    fn read_timer(&mut self, timer: &Place<'_>, parent: &Parent) {
        // Secure, non-secure, virtual, hypervisor, unless the names say otherwise (bindings, timer/arm,arch_timer.yaml).
        let named = timer.texts("interrupt-names").position(|name| name == "virt");
        match parent.interrupt(timer, named.unwrap_or(2)) {
            // It is private to each CPU.
            Some(intid @ 16..=31) => self.virtual_timer = intid,
            Some(other) => {
                let what = "the virtual timer's INTID";
                self.note(Part::Timer, Fault::BadValue { what, value: other.into() });
            }
            None => self.note(Part::Timer, Fault::Missing),
        }
    }

    fn read_psci(&mut self, psci: &Place<'_>) {
        match conduit(psci) {
            Some(conduit) => self.conduit = Some(conduit),
            None => self.note(Part::Psci, Fault::BadValue { what: "`method`", value: 0 }),
        }
    }

    fn read_cpus(&mut self, root: &Place<'_>) -> Result<(), Error> {
        let cpus = root.find("cpus").ok_or(Fault::Missing.of(Part::Cpu))?;
        for place in cpus.children() {
            // `cpus` also has nodes of other kinds: topology, idle states, caches (DT 3.8).
            if place.text("device_type") != Some("cpu") {
                continue;
            }
            let unit = place.unit().map_err(|fault| fault.of(Part::Cpu))?;
            if unit & !Affinity::MPIDR_MASK != 0 {
                let what = "the affinity in `reg`";
                return Err(Fault::BadValue { what, value: unit }.of(Part::Cpu));
            }
            // Only its own status counts: `fail` and `disabled` CPUs are not for us (DT 3.8.1: a CPU in a spin loop is
            // `disabled` on machines that start CPUs without PSCI, which are not supported).
            let enabled = place.is_enabled();
            let affinity = Affinity::from_mpidr(unit);
            self.add_cpu(Cpu { affinity, enabled, redistributor: None });
        }
        Ok(())
    }

    fn read_console(&mut self, tree: Fdt<'_>, parent: &Parent) {
        match console::find(tree) {
            None => {}
            Some((place, Ok(console))) => {
                let interrupt = parent.interrupt(&place, 0);
                self.console = Some(Console { interrupt, ..console });
            }
            Some((_, Err(fault))) => self.note(Part::Console, fault),
        }
    }
}
