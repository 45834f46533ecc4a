//! How many messages go from a store to a CPU, and from there to a port.

use super::draw::Draw;
use super::layout::{
    CELLS, CPU_HEIGHT, CPUS, CpuKey, DEVICES, Layout, PORT_HEIGHT, PORTS, PortKey, REMAPPER,
    STORE_HEIGHT, STORES,
};
use inspect_core::names::ClientName;
use inspect_core::{Sums, Tree};
use std::collections::{BTreeMap, BTreeSet};
use tocsin_proto::interrupt::MessageRow;

fn cpu_of(row: &MessageRow) -> CpuKey {
    row.event.map(|event| event.cpu)
}

fn port_of(row: &MessageRow) -> PortKey {
    row.binding.map(|binding| (binding.port, binding.process))
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".into() } else { format!("{count} messages") }
}

/// Thousands of messages must not be a thousand times as wide as one.
fn width(messages: usize) -> f64 {
    1.0 + (messages as f64).log2() * 0.9
}

/// The lines, which lie below the boxes.
pub fn lines(draw: &mut Draw, tree: &Tree, layout: &Layout) {
    let mut to_ports: BTreeMap<(CpuKey, PortKey), usize> = BTreeMap::new();
    for (client, place) in tree.clients.iter().zip(&layout.clients) {
        let middle = place.y + place.height / 2.0;
        draw.link((REMAPPER.x + REMAPPER.w, layout.middle), (DEVICES.x, middle), "tree", 1.5);
        for (store, at) in client.stores.iter().zip(&place.stores) {
            let y = at.y + STORE_HEIGHT / 2.0;
            draw.link((DEVICES.x + DEVICES.w, middle), (STORES.x, y), "tree", 1.5);
            draw.link((STORES.x + STORES.w, y), (CELLS.x - 4.0, y), "tree", 1.5);
            let mut to_cpus: BTreeMap<CpuKey, usize> = BTreeMap::new();
            for row in &store.messages {
                *to_cpus.entry(cpu_of(row)).or_default() += 1;
                *to_ports.entry((cpu_of(row), port_of(row))).or_default() += 1;
            }
            let (columns, rows) = match store.messages.len() {
                few if few < at.per_row => (few, 1),
                many => (at.per_row, many.div_ceil(at.per_row)),
            };
            let y = at.y + rows as f64 * at.cell / 2.0;
            let right = CELLS.x + columns as f64 * at.cell + 4.0;
            // Past the cells of other stores first.
            let from = (CELLS.x + CELLS.w, y);
            draw.link((right, y), from, "flow", width(store.messages.len()));
            for (cpu, count) in to_cpus {
                if let Some(top) = layout.cpus.get(&cpu) {
                    draw.link(from, (CPUS.x, top + CPU_HEIGHT / 2.0), "flow", width(count));
                }
            }
        }
    }
    for ((cpu, port), count) in to_ports {
        if let (Some(from), Some(to)) = (layout.cpus.get(&cpu), layout.ports.get(&port)) {
            let from = (CPUS.x + CPUS.w, from + CPU_HEIGHT / 2.0);
            draw.link(from, (PORTS.x, to + PORT_HEIGHT / 2.0), "flow", width(count));
        }
    }
}

/// The boxes of CPUs and ports.
pub fn boxes(draw: &mut Draw, tree: &Tree, layout: &Layout) {
    for (cpu, y) in &layout.cpus {
        let count = tree.messages().filter(|row| cpu_of(row) == *cpu).count();
        let (x, w) = (CPUS.x, CPUS.w);
        draw.rect(x, *y, w, CPU_HEIGHT, "box", None);
        let space = tree.spaces.iter().find(|space| cpu.is_some() && space.cpu == *cpu);
        let (name, below) = match (cpu, space) {
            (Some(cpu), Some(it)) => {
                (format!("CPU {cpu}"), format!("{} of {} vectors free", it.free, it.total))
            }
            (Some(cpu), None) => (format!("CPU {cpu}"), "LPIs are the machine's".into()),
            (None, _) => ("no CPU event".into(), "these take up no vector".into()),
        };
        draw.text(x + 10.0, y + 18.0, "strong", &name);
        draw.text(x + 10.0, y + 33.0, "small", &messages(count));
        draw.text(x + 10.0, y + 46.0, "dim", &below);
        if let Some(space) = space.filter(|space| space.total > space.free) {
            let part = f64::from(space.total - space.free) / f64::from(space.total);
            draw.rect(x, y + CPU_HEIGHT - 4.0, w * part, 4.0, "used", None);
        }
    }
    for (port, y) in &layout.ports {
        let rows = || tree.messages().filter(|row| port_of(row) == *port);
        let owners: BTreeSet<u32> = rows().map(|row| row.owner).collect();
        let (x, w) = (PORTS.x, PORTS.w);
        draw.rect(x, *y, w, PORT_HEIGHT, "box", None);
        let name = port.map_or("bound to no port".into(), |(port, process)| {
            format!("port {port}, process {process}")
        });
        let sums = Sums::of(rows());
        let count = rows().count();
        let count = format!("{}, {} packets", messages(count), sums.delivered);
        let owners: Vec<String> = owners.into_iter().map(|owner| owner_name(tree, owner)).collect();
        draw.text(x + 10.0, y + 18.0, "strong", &name);
        draw.text(x + 10.0, y + 33.0, "small", &count);
        draw.text(x + 10.0, y + 46.0, "dim", &format!("of {}", owners.join(", ")));
    }
}

/// A client as its driver is called, or as its device.
fn owner_name(tree: &Tree, owner: u32) -> String {
    let client = tree.clients.iter().find(|client| client.row.client == owner);
    match client.map(|client| client.row.owner.as_str().to_string()).unwrap_or_default() {
        name if name.is_empty() => ClientName(owner).to_string(),
        name => name,
    }
}
