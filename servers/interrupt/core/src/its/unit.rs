//! One ITS in service: its state, and how an event is brought from what the ITS has to what
//! is wanted of it.

use super::devices::DeviceStore;
use super::pool::TableMemory;
use super::queue::Queue;
use super::{
    CollectionId, Command, DeviceId, EventId, ItsType, Lpi, LpiProperty, LpiTable, Priority, RdBase,
};
use crate::numbers::Bitmap;
use crate::vtd::DmaRegion;
use crate::{CpuIndex, EntryIndex};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// A 64 KiB frame of registers: the ITS control frame, or a redistributor's RD_base. The
/// accesses have the width that their names say, reach the device in program order, and are
/// not merged.
pub trait ItsRegisters {
    /// Reads 32 bits.
    fn read32(&mut self, offset: u16) -> u32;
    /// Writes 32 bits.
    fn write32(&mut self, offset: u16, value: u32);
    /// Reads 64 bits.
    fn read64(&mut self, offset: u16) -> u64;
    /// Writes 64 bits. All earlier writes to DMA memory are visible to the GIC before it
    /// (on aarch64: DSB).
    fn write64(&mut self, offset: u16, value: u64);
}

/// The ITS did not do what the specification says it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItsError {
    /// It did not answer within the budget.
    Timeout(ItsStep),
    /// It stands still at a command (GITS_CREADR.Stalled), also after a retry.
    Stalled {
        /// The command's number: DW0 7:0.
        command: u8,
    },
    /// Earlier commands are still in the queue.
    QueueFull,
}

/// What was waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItsStep {
    /// Everything of before to come to its end (GITS_CTLR.Quiescent).
    Quiescent,
    /// GITS_CREADR to pass a command.
    Commands,
}

impl fmt::Display for ItsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(step) => write!(f, "the ITS did not answer: {step:?}"),
            Self::Stalled { command } => write!(f, "the ITS stalls at command {command:#04x}"),
            Self::QueueFull => f.write_str("the ITS command queue does not advance"),
        }
    }
}

/// An ITS in service.
pub struct ItsUnit<R: ItsRegisters, M: DmaRegion> {
    pub(super) registers: R,
    pub(super) queue: Queue<M>,
    pub(super) its_type: ItsType,
    pub(super) devices: DeviceStore<M>,
    /// Collection and vPE table: the ITS's own, never looked at here, never given back.
    pub(super) _tables: [Option<M>; 2],
    pub(super) properties: LpiTable<M>,
    /// For the tables of devices to come.
    pub(super) table_memory: Box<dyn TableMemory<M>>,
    /// By CPU.
    pub(super) targets: Vec<RdBase>,
    /// Free LPIs.
    pub(super) lpis: Bitmap,
    /// By LPI.
    pub(super) slots: Vec<Slot>,
    pub(super) translater: u64,
    pub(super) priority: Priority,
}

/// What is wanted of an event.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Wanted {
    /// Not mapped: what the device writes vanishes.
    #[default]
    Off,
    /// The LPI of this CPU.
    Routed(CpuIndex),
    /// Mapped, and the LPI disabled: what the device writes stays pending.
    Blocked(CpuIndex),
}

/// One LPI.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    /// Whose event; `None`: nobody's.
    pub(super) owner: Option<(DeviceId, EventId)>,
    pub(super) wanted: Wanted,
    /// Where the ITS has it when the ticket's command is done.
    mapped: Option<CpuIndex>,
    /// The property was written since the last INV.
    dirty: bool,
    /// Its last command.
    ticket: u64,
}

impl Slot {
    pub(super) fn new(owner: Option<(DeviceId, EventId)>) -> Self {
        Self { owner, ..Self::default() }
    }
}

/// At most MOVI, INV and two SYNC, as they will lie in the queue.
struct Batch {
    commands: [[u64; 4]; 4],
    count: usize,
}

impl Batch {
    const fn new() -> Self {
        Self { commands: [[0; 4]; 4], count: 0 }
    }

    #[inline(always)]
    fn push(&mut self, command: Command) {
        self.commands[self.count] = command.encode();
        self.count += 1;
    }
}

impl<R: ItsRegisters, M: DmaRegion> ItsUnit<R, M> {
    /// GITS_TYPER.
    pub const fn its_type(&self) -> ItsType {
        self.its_type
    }

    /// Writes the property. Memory only; `bring` makes hardware look.
    pub(super) fn want(&mut self, index: EntryIndex, wanted: Wanted) {
        let enabled = matches!(wanted, Wanted::Routed(_));
        let property = LpiProperty { priority: self.priority, enabled };
        let slot = &mut self.slots[index.index()];
        slot.wanted = wanted;
        let lpi = Lpi::from_index(index);
        if self.properties.read(lpi) != Ok(property) {
            self.properties.write(lpi, property);
            slot.dirty = true;
        }
    }

    /// Sends what is missing between what the ITS has and what is wanted, and waits for it.
    /// Sends nothing twice: called again after a timeout, it only waits.
    pub(super) fn bring(&mut self, index: EntryIndex) -> Result<(), ItsError> {
        let Some(&slot) = self.slots.get(index.index()) else { return Ok(()) };
        let Some((device, event)) = slot.owner else { return Ok(()) };
        let (batch, mapped) = self.missing(slot, device, event, Lpi::from_index(index));
        if batch.count > 0 {
            let commands = &batch.commands[..batch.count];
            let ticket = self.queue.submit_encoded(&mut self.registers, commands)?;
            let slot = &mut self.slots[index.index()];
            (slot.mapped, slot.dirty, slot.ticket) = (mapped, false, ticket);
        }
        self.queue.wait(&mut self.registers, self.slots[index.index()].ticket)
    }

    /// The commands, and where the event is after them.
    ///
    /// Each batch ends with a SYNC for every redistributor that it concerns. INV follows
    /// MOVI, because the new redistributor may have cached a property when the LPI was there
    /// last. A blocked event moves when it is unblocked: moved at once, it could slip through
    /// between MOVI and INV.
    fn missing(
        &self,
        slot: Slot,
        device: DeviceId,
        event: EventId,
        lpi: Lpi,
    ) -> (Batch, Option<CpuIndex>) {
        let collection = |cpu: CpuIndex| CollectionId::from_bits(cpu.index() as u16);
        let sync = |cpu: CpuIndex| Command::Sync { target: self.targets[cpu.index()] };
        let invalidate = Command::Invalidate { device, event };
        let mut batch = Batch::new();
        let mapped = match (slot.mapped, slot.wanted) {
            (None, Wanted::Off) => None,
            (Some(old), Wanted::Off) => {
                batch.push(Command::Discard { device, event });
                batch.push(sync(old));
                None
            }
            (None, Wanted::Routed(cpu) | Wanted::Blocked(cpu)) => {
                batch.push(Command::MapEvent { device, event, lpi, collection: collection(cpu) });
                batch.push(invalidate);
                batch.push(sync(cpu));
                Some(cpu)
            }
            (Some(old), Wanted::Routed(cpu)) if old != cpu => {
                batch.push(Command::Move { device, event, collection: collection(cpu) });
                batch.push(invalidate);
                batch.push(sync(old));
                batch.push(sync(cpu));
                Some(cpu)
            }
            (Some(old), Wanted::Routed(_) | Wanted::Blocked(_)) => {
                if slot.dirty {
                    batch.push(invalidate);
                    batch.push(sync(old));
                }
                Some(old)
            }
        };
        (batch, mapped)
    }

    /// Whether the ITS knows nothing of this LPI and has nothing about it under way.
    pub(super) fn is_quiet(&self, index: EntryIndex) -> bool {
        let slot = &self.slots[index.index()];
        slot.mapped.is_none() && slot.wanted == Wanted::Off && self.queue.is_done(slot.ticket)
    }
}
