//! A CPU's redistributor: finding it, waking it, and its private interrupts (Arm IHI 0069H,
//! 12.10 and 12.11).

use tocsin_abi::Trigger;
use tocsin_firmware::arm::{Affinity, Platform};

use super::frame::{FRAME_BYTES, Frame};
use super::{DEVICE_PRIORITY, POKE, POKE_PRIORITY, TIMER_PRIORITY, every_byte, wait};

// Registers of the first frame, `RD_base`.
const CONTROL: u64 = 0x0000;
const TYPE: u64 = 0x0008;
const WAKER: u64 = 0x0014;
const PERIPHERAL_ID: u64 = 0xffe8;
// Registers of the second frame, `SGI_base`, each for the 32 private interrupts.
const GROUP: u64 = 0x0080;
const SET_ENABLE: u64 = 0x0100;
const CLEAR_ENABLE: u64 = 0x0180;
const CLEAR_PENDING: u64 = 0x0280;
const CLEAR_ACTIVE: u64 = 0x0380;
const PRIORITY: u64 = 0x0400;
/// Of the upper 16, the PPIs: two bits each, the upper one says edge. May be fixed.
const PPI_CONFIGURATION: u64 = 0x0c04;
const GROUP_MODIFIER: u64 = 0x0d00;

/// Looks at GICR_CTLR.RWP before a disabled interrupt is taken for seen everywhere all the
/// same: what is late finds no message, and stays.
const LOOKS: u32 = 10_000;

/// `GICR_CTLR.RWP`.
const WRITE_PENDING: u32 = 1 << 3;
/// `GICR_TYPER.VLPIS`: a GICv4's, with two frames more.
const VIRTUAL_LPIS: u64 = 1 << 1;
/// `GICR_TYPER.Last`: the last of its region.
const LAST: u64 = 1 << 4;
const PROCESSOR_SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;

/// A redistributor's two frames that the kernel uses.
#[derive(Clone, Copy)]
pub struct Redistributor {
    /// Physical address.
    pub address: u64,
    base: Frame,
    private: Frame,
}

impl Redistributor {
    /// The redistributor at a physical address.
    ///
    /// # Safety
    /// As for `Frame::new`: both frames.
    pub unsafe fn new(address: u64) -> Self {
        // SAFETY: promised by the caller.
        let base = unsafe { Frame::new(address) };
        // SAFETY: promised by the caller.
        let private = unsafe { Frame::new(address + FRAME_BYTES) };
        Self { address, base, private }
    }

    /// Finds the redistributor of a CPU.
    ///
    /// # Safety
    /// What `platform` says of redistributors must be true and mapped as devices.
    pub unsafe fn find(platform: &Platform, cpu: Affinity) -> Option<Self> {
        let own = platform.cpus.iter().find(|other| other.affinity == cpu);
        if let Some(address) = own.and_then(|own| own.redistributor) {
            // SAFETY: promised by the caller.
            let found = unsafe { Self::new(address) };
            return found.belongs_to(cpu).then_some(found);
        }
        platform.gic.redistributors.iter().find_map(|region| {
            let mut offset = 0;
            while region.range.size.saturating_sub(offset) >= 2 * FRAME_BYTES {
                // SAFETY: promised by the caller: the frames lie in the region.
                let found = unsafe { Self::new(region.range.base + offset) };
                if !found.is_version_3() {
                    return None;
                }
                if found.belongs_to(cpu) {
                    return Some(found);
                }
                let kind = found.base.read_long(TYPE);
                if kind & LAST != 0 {
                    return None;
                }
                let frames = if kind & VIRTUAL_LPIS != 0 { 4 } else { 2 };
                offset += region.stride.unwrap_or(frames * FRAME_BYTES);
            }
            None
        })
    }

    /// `GICR_PIDR2.ArchRev`: or else there is none here.
    fn is_version_3(self) -> bool {
        (3..=4).contains(&(self.base.read(PERIPHERAL_ID) >> 4 & 0xf))
    }

    fn belongs_to(self, cpu: Affinity) -> bool {
        self.is_version_3() && (self.base.read_long(TYPE) >> 32) as u32 == cpu.bits()
    }

    /// Wakes it and sets its private interrupts: the poke and the timer on, all others off.
    pub fn init(self, timer: u32) -> Result<(), &'static str> {
        let waker = self.base.read(WAKER);
        self.base.write(WAKER, waker & !PROCESSOR_SLEEP);
        if !wait(|| self.base.read(WAKER) & CHILDREN_ASLEEP == 0) {
            return Err("a redistributor does not wake (GICR_WAKER.ChildrenAsleep stays set)");
        }
        self.private.write(CLEAR_ENABLE, u32::MAX);
        self.settle()?;
        self.private.write(GROUP, u32::MAX);
        self.private.write(GROUP_MODIFIER, 0);
        self.private.write(CLEAR_PENDING, u32::MAX);
        self.private.write(CLEAR_ACTIVE, u32::MAX);
        for first in (0..32).step_by(4) {
            self.private.write(PRIORITY + first, every_byte(DEVICE_PRIORITY));
        }
        self.set_priority(POKE, POKE_PRIORITY);
        self.set_priority(timer, TIMER_PRIORITY);
        self.private.write(SET_ENABLE, 1 << POKE | 1 << (timer % 32));
        self.settle()
    }

    /// Ends the active state of one, from any CPU (12.11.3, GICR_ICACTIVER0).
    pub fn deactivate(self, intid: u32) {
        self.private.write(CLEAR_ACTIVE, 1 << (intid % 32));
    }

    /// Lets a PPI come. It is off before, so its configuration may change (12.11.7).
    pub fn enable(self, intid: u32, trigger: Trigger) {
        let shift = intid % 16 * 2;
        let edge = if trigger == Trigger::Edge { 0b10 } else { 0 };
        let others = self.private.read(PPI_CONFIGURATION) & !(0b11 << shift);
        self.private.write(PPI_CONFIGURATION, others | edge << shift);
        self.private.write(SET_ENABLE, 1 << (intid % 32));
    }

    /// Lets it come no more.
    pub fn disable(self, intid: u32) {
        self.private.write(CLEAR_ENABLE, 1 << (intid % 32));
        for _ in 0..LOOKS {
            if self.base.read(CONTROL) & WRITE_PENDING == 0 {
                break;
            }
        }
    }

    fn set_priority(self, intid: u32, priority: u8) {
        let (register, shift) = (PRIORITY + u64::from(intid & !3), intid % 4 * 8);
        let others = self.private.read(register) & !(0xff << shift);
        self.private.write(register, others | u32::from(priority) << shift);
    }

    fn settle(self) -> Result<(), &'static str> {
        if wait(|| self.base.read(CONTROL) & WRITE_PENDING == 0) {
            Ok(())
        } else {
            Err("a redistributor does not finish a register write (GICR_CTLR.RWP stays set)")
        }
    }
}
