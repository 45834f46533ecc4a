//! Mappings: an address space holds exactly what was mapped through handles that are
//! still there, with the rights they had.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

use tocsin_abi::limits::{PAGE_BYTES, USER_END, USER_START};
use tocsin_abi::{Error, Kind, Rights, Syscall};

use super::invariants::check_invariants;
use super::platform::{Page, RAM_START};
use super::world::{Actor, SCRATCH, Size, World, cases};

const FRAMES: usize = 600;
const RW: Rights = Rights::READ.union(Rights::WRITE);

#[derive(Clone, Debug)]
enum Op {
    Create { pages: u64 },
    Slice { of: usize, offset: u64, size: u64, lost: u16 },
    Duplicate { of: usize, lost: u16 },
    Map { process: usize, through: usize, at: usize, offset: u64, size: u64, protection: u16 },
    Unmap { process: usize, at: usize },
    Close { which: usize },
    Revoke { which: usize },
}

const ADDRESSES: [u64; 9] = [
    USER_START,
    USER_START - PAGE_BYTES,
    0x5000_0000,
    0x5000_1000,
    0x5000_3000,
    0x7f00_0000_0000,
    USER_END - PAGE_BYTES,
    USER_END,
    0x5000_0800,
];

fn op() -> impl Strategy<Value = Op> {
    let which = 0usize..30;
    let lost = prop_oneof![2 => Just(0u16), 2 => (0u16..14).prop_map(|bit| 1 << bit)];
    let offset = prop_oneof![6 => (0u64..4).prop_map(|n| n * PAGE_BYTES), 1 => Just(17u64), 1 => Just(u64::MAX - 4095)];
    let size = prop_oneof![
        8 => (0u64..5).prop_map(|n| n * PAGE_BYTES), 1 => Just(100u64), 1 => Just(1 << 23), 1 => Just(u64::MAX - 4095)
    ];
    let protection = prop_oneof![
        8 => prop::sample::select(&[4u16, 12, 20][..]), 1 => Just(28u16), 1 => Just(8), 1 => Just(0), 1 => any::<u16>()
    ];
    prop_oneof![
        3 => (1u64..6).prop_map(|pages| Op::Create { pages }),
        3 => (which.clone(), offset.clone(), size.clone(), lost.clone())
            .prop_map(|(of, offset, size, lost)| Op::Slice { of, offset, size, lost }),
        3 => (which.clone(), lost).prop_map(|(of, lost)| Op::Duplicate { of, lost }),
        14 => (0usize..3, which.clone(), 0..ADDRESSES.len(), offset, size, protection).prop_map(
            |(process, through, at, offset, size, protection)| Op::Map {
                process, through, at, offset, size, protection
            }
        ),
        5 => (0usize..3, 0..ADDRESSES.len()).prop_map(|(process, at)| Op::Unmap { process, at }),
        2 => which.clone().prop_map(|which| Op::Close { which }),
        2 => which.prop_map(|which| Op::Revoke { which }),
    ]
}

#[derive(Clone, Debug)]
struct Known {
    handle: u64,
    kind: Kind,
    base: u64,
    size: u64,
    rights: Rights,
    parent: Option<usize>,
    alive: bool,
}

#[derive(Clone, Debug)]
struct Mapped {
    process: usize,
    address: u64,
    pages: u64,
    page: Page,
    through: usize,
}

struct Rig {
    world: World,
    actor: Actor,
    other: Actor,
    /// Itself, the other, and the other without the right to change it.
    processes: [u64; 3],
    known: Vec<Known>,
    mapped: Vec<Mapped>,
    fixed: [BTreeMap<u64, Page>; 2],
}

impl Rig {
    fn new() -> Rig {
        let world = World::new(Size { cpus: 2, slots: 800, objects: 200, frames: FRAMES });
        let root = world.root.thread;
        let actor = world.spawn(root, 1_000_000, 1, 5);
        let other = world.spawn(root, 300_000, 0, 5);
        let all = Kind::Process.all_rights();
        let processes = [
            0,
            world.grant(root, &actor, other.process_handle, all),
            world.grant(root, &actor, other.process_handle, all.difference(Rights::WRITE)),
        ];
        let rights = Kind::Physical.all_rights();
        let handle = world.grant(root, &actor, world.roots.physical, rights);
        let physical = Known {
            handle,
            kind: Kind::Physical,
            base: 0,
            size: 1 << 40,
            rights,
            parent: None,
            alive: true,
        };
        let spaces = [actor, other].map(|actor| world.k.process(actor.process).space.get());
        let fixed = spaces.map(|space| world.k.platform.pages(space));
        Rig {
            world,
            actor,
            other,
            processes,
            known: Vec::from([physical]),
            mapped: Vec::new(),
            fixed,
        }
    }

    fn ask(&self, call: Syscall, arguments: &[u64]) -> Result<u64, Error> {
        self.world.ask(self.actor.thread, call, arguments)
    }

    fn end(&mut self, which: usize) {
        self.known[which].alive = false;
        self.mapped.retain(|mapped| mapped.through != which);
    }

    fn revoke(&mut self, which: usize) {
        for index in 0..self.known.len() {
            if self.known[index].alive && self.known[index].parent == Some(which) {
                self.end(index);
                self.revoke(index);
            }
        }
    }

    fn step(&mut self, op: &Op) {
        let count = self.known.len();
        match *op {
            Op::Create { pages } => {
                let Ok(handle) = self.ask(Syscall::MemoryCreate, &[pages * PAGE_BYTES]) else {
                    return;
                };
                let rights = Kind::Memory.all_rights();
                assert_eq!(self.ask(Syscall::MemoryInfo, &[handle]), Ok(0));
                let [size, base, ..] = self.world.values(self.actor.thread);
                assert_eq!(size, pages.next_power_of_two() * PAGE_BYTES);
                let kind = Kind::Memory;
                self.known.push(Known {
                    handle,
                    kind,
                    base,
                    size,
                    rights,
                    parent: None,
                    alive: true,
                });
            }
            Op::Slice { of, offset, size, lost } => self.slice(of % count, offset, size, lost),
            Op::Duplicate { of, lost } => {
                let source = self.known[of % count].clone();
                let rights = source.rights.difference(Rights::from_bits_retain(lost));
                let result =
                    self.ask(Syscall::HandleDuplicate, &[source.handle, rights.bits().into(), 0]);
                if !source.alive {
                    assert_eq!(result, Err(Error::BadHandle));
                } else if !source.rights.contains(Rights::DUPLICATE) {
                    assert_eq!(result, Err(Error::MissingRight));
                } else {
                    let handle = result.expect("room");
                    self.known.push(Known { handle, rights, parent: Some(of % count), ..source });
                }
            }
            Op::Map { process, through, at, offset, size, protection } => {
                let protection = Rights::from_bits_retain(protection);
                self.map(process, through % count, ADDRESSES[at], offset, size, protection);
            }
            Op::Unmap { process, at } => {
                let address = ADDRESSES[at];
                let result = self.ask(Syscall::MemoryUnmap, &[self.processes[process], address]);
                let found = self
                    .mapped
                    .iter()
                    .position(|m| m.process == process.min(1) && m.address == address);
                let expected = match found {
                    _ if process == 2 => Err(Error::MissingRight),
                    None => Err(Error::NotMapped),
                    Some(_) => Ok(0),
                };
                assert_eq!(result, expected);
                if result.is_ok() {
                    self.mapped.remove(found.expect("matched"));
                }
            }
            Op::Close { which } => {
                let which = which % count;
                let Known { handle, alive, parent, .. } = self.known[which];
                assert_eq!(self.ask(Syscall::HandleClose, &[handle]).is_ok(), alive);
                self.end(which);
                for known in self.known.iter_mut().filter(|known| known.parent == Some(which)) {
                    known.parent = parent;
                }
            }
            Op::Revoke { which } => {
                let Known { handle, alive, rights, .. } = self.known[which % count];
                let result = self.ask(Syscall::HandleRevoke, &[handle]);
                assert_eq!(result.is_ok(), alive && rights.contains(Rights::REVOKE));
                if result.is_ok() {
                    self.revoke(which % count);
                }
            }
        }
    }

    fn slice(&mut self, of: usize, offset: u64, size: u64, lost: u16) {
        let source = self.known[of].clone();
        let rights = source.rights.difference(Rights::from_bits_retain(lost));
        let arguments = [source.handle, offset, size, rights.bits().into()];
        let result = self.ask(Syscall::PhysicalSlice, &arguments);
        let aligned = offset.is_multiple_of(PAGE_BYTES) && size.is_multiple_of(PAGE_BYTES);
        let expected = match () {
            () if !aligned => Err(Error::Misaligned),
            () if !source.alive => Err(Error::BadHandle),
            () if source.kind != Kind::Physical => Err(Error::WrongType),
            () if !source.rights.contains(Rights::DUPLICATE) => Err(Error::MissingRight),
            () if size == 0 => Err(Error::BadSize),
            () if offset.checked_add(size).is_none_or(|end| end > source.size) => {
                Err(Error::OutOfRange)
            }
            () => Ok(()),
        };
        assert_eq!(result.map(|_| ()), expected);
        if let Ok(handle) = result {
            let base = source.base + offset;
            self.known.push(Known { handle, base, size, rights, parent: Some(of), ..source });
        }
    }

    fn map(
        &mut self,
        process: usize,
        through: usize,
        address: u64,
        offset: u64,
        size: u64,
        protection: Rights,
    ) {
        let known = self.known[through].clone();
        let arguments = [
            self.processes[process],
            known.handle,
            address,
            offset,
            size,
            protection.bits().into(),
        ];
        let result = self.ask(Syscall::MemoryMap, &arguments);
        let target = process.min(1);
        let allowed = RW.union(Rights::EXECUTE);
        let end = address.saturating_add(size);
        let physical = known.base.wrapping_add(offset);
        let ram = RAM_START..RAM_START + FRAMES as u64 * PAGE_BYTES;
        let device = known.kind == Kind::Physical;
        let meets = |start: u64, pages: u64| start < end && start + pages * PAGE_BYTES > address;
        let taken = self.mapped.iter().any(|m| m.process == target && meets(m.address, m.pages))
            || self.fixed[target].keys().any(|page| meets(page * PAGE_BYTES, 1));
        let expected = match () {
            () if process == 2 => Err(Error::MissingRight),
            () if !allowed.contains(protection) || !protection.contains(Rights::READ) => {
                Err(Error::BadArgument)
            }
            () if !known.alive => Err(Error::BadHandle),
            () if !known.rights.contains(protection) => Err(Error::MissingRight),
            () if protection.contains(Rights::WRITE | Rights::EXECUTE) => Err(Error::WriteExecute),
            () if !address.is_multiple_of(PAGE_BYTES) || !size.is_multiple_of(PAGE_BYTES) => {
                Err(Error::Misaligned)
            }
            () if size == 0 => Err(Error::BadSize),
            () if address < USER_START
                || address.checked_add(size).is_none_or(|end| end > USER_END) =>
            {
                Err(Error::BadAddress)
            }
            () if !offset.is_multiple_of(PAGE_BYTES) => Err(Error::Misaligned),
            () if offset.checked_add(size).is_none_or(|end| end > known.size) => {
                Err(Error::OutOfRange)
            }
            () if size > 4 << 20 => Err(Error::BadSize),
            () if device && physical < ram.end && physical + size > ram.start => {
                Err(Error::OutOfRange)
            }
            () if taken => Err(Error::AlreadyMapped),
            () => Ok(0),
        };
        if result != Err(Error::NoMemory) || expected.is_err() {
            assert_eq!(result, expected, "{known:?} at {address:#x}");
        }
        if result.is_ok() {
            let (pages, page) = (size / PAGE_BYTES, Page { physical, protection, device });
            self.mapped.push(Mapped { process: target, address, pages, page, through });
        }
    }

    fn compare(&self) {
        for (number, actor) in [self.actor, self.other].iter().enumerate() {
            let mut expected = self.fixed[number].clone();
            for mapped in self.mapped.iter().filter(|mapped| mapped.process == number) {
                for page in 0..mapped.pages {
                    let physical = mapped.page.physical + page * PAGE_BYTES;
                    expected.insert(
                        mapped.address / PAGE_BYTES + page,
                        Page { physical, ..mapped.page },
                    );
                }
            }
            let space = self.world.k.process(actor.process).space.get();
            assert_eq!(self.world.k.platform.pages(space), expected, "process {number}");
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn an_address_space_holds_what_was_mapped(ops in prop::collection::vec(op(), 1..80)) {
        let mut rig = Rig::new();
        rig.world.careful.set(ops.len() % 8 == 0);
        for op in &ops {
            rig.step(op);
            rig.compare();
        }
        check_invariants(rig.world.k);
    }
}

#[test]
fn an_address_is_seen_by_right_only() {
    let world = World::new(super::world::SMALL);
    let root = world.root.thread;
    let memory = world.must(root, Syscall::MemoryCreate, &[PAGE_BYTES]);
    let rights = Kind::Memory.all_rights().difference(Rights::ADDRESS);
    let blind = world.must(root, Syscall::HandleDuplicate, &[memory, rights.bits().into(), 0]);
    world.must(root, Syscall::MemoryInfo, &[memory]);
    assert_ne!(world.values(root)[1], 0);
    world.must(root, Syscall::MemoryInfo, &[blind]);
    assert_eq!(world.values(root)[..2], [PAGE_BYTES, 0]);
}

/// While another CPU runs in the address space, a page is taken from it only after that
/// CPU has left. (The fake machine refuses anything else.)
#[test]
fn unmapping_brings_other_cpus_out_of_the_space() {
    let world = World::new(super::world::SMALL);
    let root = world.root.thread;
    let actor = world.spawn(root, 300_000, 1, 5);
    world.take_poke(1);
    assert_eq!(world.k.cpu(1).current.get(), actor.thread);
    let before = world.k.platform.work.get().evictions;
    world.must(root, Syscall::MemoryUnmap, &[actor.process_handle, SCRATCH]);
    assert_eq!(world.k.platform.work.get().evictions, before + 1);
}

#[test]
fn ports_of_a_range_only() {
    let world = World::new(super::world::SMALL);
    let root = world.root.thread;
    let read = u64::from(Rights::READ.bits());
    let range = world.must(root, Syscall::IoPortsSlice, &[world.roots.ioports, 0x3f8, 8, read]);
    let ask = |call, port: u64, width: u64| world.ask(root, call, &[range, port, width, 0]);
    assert_eq!(ask(Syscall::IoPortRead, 0x3f8, 1), Ok(0x3f801));
    assert_eq!(ask(Syscall::IoPortRead, 0x3fc, 4), Ok(0x3fc04));
    for (port, width) in
        [(0x3f7, 1), (0x400, 1), (0x3fd, 4), (0x3ff, 2), (0x1_03f8, 1), (u64::MAX, 4)]
    {
        assert_eq!(ask(Syscall::IoPortRead, port, width), Err(Error::OutOfRange), "{port:#x}");
    }
    assert_eq!(ask(Syscall::IoPortRead, 0x3f8, 3), Err(Error::BadSize));
    assert_eq!(ask(Syscall::IoPortWrite, 0x3f8, 1), Err(Error::MissingRight));
    let beyond = world.ask(root, Syscall::IoPortsSlice, &[world.roots.ioports, 0xfffc, 8, read]);
    assert_eq!(beyond, Err(Error::OutOfRange));
}
