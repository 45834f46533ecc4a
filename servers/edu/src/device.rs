//! The registers of QEMU's `edu` device (its `docs/specs/edu.txt`), BAR 0.

use core::fmt;

use libsys::object::now_ns;
use libsys::pci::MappedBar;

/// Identification: 0xRRrr00ed, major and minor version in the upper half.
const IDENTIFICATION: u64 = 0x00;
/// Liveness check: reads back inverted.
const LIVENESS: u64 = 0x04;
/// Factorial: a number written here is replaced by its factorial.
const FACTORIAL: u64 = 0x08;
/// Status: bit 0 computing, bit 7 raise an interrupt when done.
const STATUS: u64 = 0x20;
/// Interrupt status: why the device raised an interrupt.
const INTERRUPT_STATUS: u64 = 0x24;
/// A write raises an interrupt and adds the value to the interrupt status.
const INTERRUPT_RAISE: u64 = 0x60;
/// A write takes the value out of the interrupt status.
const INTERRUPT_ACKNOWLEDGE: u64 = 0x64;

const COMPUTING: u32 = 0x01;
const INTERRUPT_WHEN_DONE: u32 = 0x80;
/// Interrupt status of a finished factorial.
pub const FACTORIAL_DONE: u32 = 0x0000_0001;
/// What we write to raise one ourselves: no bit that the device uses.
pub const BY_HAND: u32 = 0x0000_0002;
/// How long a factorial may take; the device computes it in a thread of its own.
const COMPUTE_NS: u64 = 1_000_000_000;

/// What the device did that it should not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceError {
    /// The identification register says something else.
    NotEdu(u32),
    /// The liveness register does not invert.
    NotAlive(u32),
    /// A factorial did not finish in time.
    Slow,
    /// A wrong factorial.
    Wrong {
        /// Number.
        of: u32,
        /// What the device says.
        result: u32,
    },
    /// An interrupt whose cause is not the one that was raised.
    Cause {
        /// What was raised.
        raised: u32,
        /// What the device says.
        status: u32,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::NotEdu(id) => write!(f, "identification is {id:#010x}"),
            DeviceError::NotAlive(value) => write!(f, "liveness check gave {value:#010x}"),
            DeviceError::Slow => f.write_str("the factorial did not finish in time"),
            DeviceError::Wrong { of, result } => write!(f, "{of}! is not {result}"),
            DeviceError::Cause { raised, status } => {
                write!(f, "raised {raised:#x}, interrupt status is {status:#x}")
            }
        }
    }
}

/// The device.
pub struct Device {
    bar: MappedBar,
}

impl Device {
    /// Takes the registers (BAR 0) and checks that the device answers.
    ///
    /// # Errors
    /// When this is no `edu`.
    pub fn start(bar: MappedBar) -> Result<Device, DeviceError> {
        let device = Device { bar };
        let id = device.read(IDENTIFICATION);
        if id & 0xffff != 0x00ed {
            return Err(DeviceError::NotEdu(id));
        }
        device.write(LIVENESS, 0x1234_5678);
        let inverted = device.read(LIVENESS);
        if inverted != !0x1234_5678 {
            return Err(DeviceError::NotAlive(inverted));
        }
        // Nothing from before us.
        device.write(STATUS, 0);
        device.write(INTERRUPT_ACKNOWLEDGE, u32::MAX);
        Ok(device)
    }

    fn read(&self, register: u64) -> u32 {
        self.bar.mapping.read32(self.bar.base + register)
    }

    fn write(&self, register: u64, value: u32) {
        self.bar.mapping.write32(self.bar.base + register, value);
    }

    /// Raises an interrupt by hand.
    pub fn raise(&self) {
        self.write(INTERRUPT_RAISE, BY_HAND);
    }

    /// Starts a factorial that raises an interrupt when it is finished.
    pub fn start_factorial(&self, of: u32) {
        self.write(STATUS, INTERRUPT_WHEN_DONE);
        self.write(FACTORIAL, of);
    }

    /// Checks the result of a factorial.
    ///
    /// # Errors
    /// `Slow` or `Wrong`.
    pub fn check_factorial(&self, of: u32) -> Result<(), DeviceError> {
        let deadline_ns = now_ns().saturating_add(COMPUTE_NS);
        while self.read(STATUS) & COMPUTING != 0 {
            if now_ns() > deadline_ns {
                return Err(DeviceError::Slow);
            }
        }
        let result = self.read(FACTORIAL);
        // The device computes modulo 2^32.
        let wanted = (1..=of).fold(1u32, u32::wrapping_mul);
        if result == wanted { Ok(()) } else { Err(DeviceError::Wrong { of, result }) }
    }

    /// Causes of interrupts that nobody has taken back: while there is one, the device asserts
    /// its pin.
    pub fn causes(&self) -> u32 {
        self.read(INTERRUPT_STATUS)
    }

    /// Takes the causes of interrupts so far back, and says what they were.
    pub fn acknowledge(&self) -> u32 {
        let status = self.read(INTERRUPT_STATUS);
        self.write(INTERRUPT_ACKNOWLEDGE, status);
        status
    }
}
