//! What an exception was: classes of `ESR_EL1` (DDI 0487, D19.2, `ESR_EL1`).

use aarch64_cpu::registers::{ESR_EL1, FAR_EL1, Readable};

/// Where in the syndrome the class is: 6 bits.
pub const CLASS_SHIFT: u32 = 26;
/// Class of a system call.
pub const CALL: u64 = 0x15;

const CLASS_MASK: u64 = 0x3f;
const FETCH_ABORT: u64 = 0x20;
const MISALIGNED_PC: u64 = 0x22;
const DATA_ABORT: u64 = 0x24;
/// `ISS.FnV`: the address register means nothing.
const ADDRESS_NOT_VALID: u64 = 1 << 10;

/// The address that the last exception was about; zero where it was about none.
#[must_use]
pub fn fault_address() -> u64 {
    let syndrome = ESR_EL1.get();
    let known = match syndrome >> CLASS_SHIFT & CLASS_MASK {
        FETCH_ABORT | DATA_ABORT => syndrome & ADDRESS_NOT_VALID == 0,
        class => class == MISALIGNED_PC,
    };
    if known { FAR_EL1.get() } else { 0 }
}

/// Name of an exception from user mode, by its class.
#[must_use]
pub fn exception_name(class: u64) -> &'static str {
    match class {
        0x00 => "invalid instruction",
        0x01 => "instruction that waits",
        0x07 => "floating point, which is not supported",
        0x0e => "illegal state",
        0x18 => "instruction or register that is not for user mode",
        0x19 => "vector instruction, which is not supported",
        FETCH_ABORT => "execution of what is not to be executed",
        MISALIGNED_PC => "misaligned program counter",
        DATA_ABORT => "access to memory that is not to be accessed",
        0x26 => "misaligned stack pointer",
        0x2f => "error of the memory system",
        0x3c => "breakpoint",
        _ => "exception",
    }
}
