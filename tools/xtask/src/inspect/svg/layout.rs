//! Where everything is: columns from left to right, and heights that follow the number of
//! messages.

use super::wires;
use inspect_core::{Client, Store, Tree};
use std::collections::BTreeMap;

/// A column.
#[derive(Clone, Copy)]
pub struct Column {
    pub x: f64,
    pub w: f64,
}

pub const EDGE: f64 = 20.0;
pub const GAP: f64 = 26.0;
pub const REMAPPER: Column = Column { x: EDGE, w: 190.0 };
pub const DEVICES: Column = Column { x: 250.0, w: 210.0 };
pub const STORES: Column = Column { x: 500.0, w: 230.0 };
pub const CELLS: Column = Column { x: 756.0, w: 390.0 };
pub const CPUS: Column = Column { x: 1230.0, w: 160.0 };
pub const PORTS: Column = Column { x: 1470.0, w: 200.0 };
pub const WIDTH: f64 = PORTS.x + PORTS.w + EDGE;

/// Height of a store's box.
pub const STORE_HEIGHT: f64 = 98.0;
/// Height of a device's box at least.
const DEVICE_HEIGHT: f64 = 112.0;
/// Height of a server's box at least.
const SERVER_HEIGHT: f64 = 190.0;
/// Heights of the boxes on the right, and the room between boxes.
pub const CPU_HEIGHT: f64 = 56.0;
pub const PORT_HEIGHT: f64 = 54.0;
const BETWEEN: f64 = 16.0;

/// Where a store and its cells are.
pub struct StorePlace {
    pub y: f64,
    pub height: f64,
    /// Distance from one cell to the next, and how many are in a row.
    pub cell: f64,
    pub per_row: usize,
}

/// Where a client is.
pub struct ClientPlace {
    pub y: f64,
    pub height: f64,
    pub stores: Vec<StorePlace>,
}

/// A box in the columns of CPUs and ports: where messages go, or that they go nowhere.
pub type CpuKey = Option<u8>;
pub type PortKey = Option<(u32, u32)>;

/// Where everything of one server is.
pub struct Layout {
    pub clients: Vec<ClientPlace>,
    pub cpus: BTreeMap<CpuKey, f64>,
    pub ports: BTreeMap<PortKey, f64>,
    /// Where lines begin, below the clients.
    pub wires: f64,
    pub middle: f64,
    pub bottom: f64,
}

impl Layout {
    /// The places of `tree` from `top` on.
    pub fn of(tree: &Tree, top: f64) -> Self {
        let mut y = top;
        let mut clients = Vec::new();
        for client in &tree.clients {
            let place = client_place(client, y);
            y += place.height + GAP;
            clients.push(place);
        }
        let lines = y;
        let y = wires::bottom(tree, y);
        let mut cpus: BTreeMap<CpuKey, f64> = BTreeMap::new();
        let mut ports: BTreeMap<PortKey, f64> = BTreeMap::new();
        for space in tree.spaces.iter().filter(|space| space.cpu.is_some()) {
            cpus.insert(space.cpu, 0.0);
        }
        for row in tree.messages() {
            cpus.insert(row.event.map(|event| event.cpu), 0.0);
            ports.insert(row.binding.map(|binding| (binding.port, binding.process)), 0.0);
        }
        for row in tree.wires.iter().filter(|row| row.direct) {
            cpus.insert(Some(row.event.cpu), 0.0);
        }
        let tall = |count: usize, each: f64| count as f64 * (each + BETWEEN) - BETWEEN;
        let height = (y - GAP - top)
            .max(tall(cpus.len(), CPU_HEIGHT))
            .max(tall(ports.len(), PORT_HEIGHT))
            .max(SERVER_HEIGHT);
        let middle = top + height / 2.0;
        spread(&mut cpus, middle, CPU_HEIGHT);
        spread(&mut ports, middle, PORT_HEIGHT);
        Self { clients, cpus, ports, wires: lines, middle, bottom: top + height }
    }
}

fn client_place(client: &Client, top: f64) -> ClientPlace {
    let mut y = top;
    let mut stores = Vec::new();
    for store in &client.stores {
        let place = store_place(store, y);
        y += place.height + BETWEEN;
        stores.push(place);
    }
    let height = (y - BETWEEN - top).max(DEVICE_HEIGHT);
    ClientPlace { y: top, height, stores }
}

/// Cells get smaller the more there are, down to what can still be seen; a row has a power of
/// two of them, so that slots are found by counting.
fn store_place(store: &Store, y: f64) -> StorePlace {
    let count = store.messages.len();
    let (cell, per_row) = match count {
        0..=64 => (12.0, 32),
        65..=512 => (12.0, 32),
        513..=4096 => (6.0, 64),
        _ => (3.0, 128),
    };
    let height = count.div_ceil(per_row) as f64 * cell;
    StorePlace { y, height: height.max(STORE_HEIGHT), cell, per_row }
}

/// Puts boxes one below the other, around `middle`.
fn spread<K>(boxes: &mut BTreeMap<K, f64>, middle: f64, height: f64) {
    let all = boxes.len() as f64 * (height + BETWEEN) - BETWEEN;
    let mut y = middle - all / 2.0;
    for place in boxes.values_mut() {
        *place = y;
        y += height + BETWEEN;
    }
}
