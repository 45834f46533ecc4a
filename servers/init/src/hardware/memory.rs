//! RAM that interrupt hardware reads and writes by itself. Init owns it, not the interrupt
//! server: hardware goes on using its tables when that server has died, so the memory must
//! not become anybody else's.

use libsys::object::Memory;
use tocsin_abi::Error;
use tocsin_abi::limits::PAGE_BYTES;

/// `bytes` where memory allows, else the largest half, quarter, … that it does.
pub fn largest(mut bytes: u64) -> Result<(Memory, u64), Error> {
    loop {
        match Memory::new(bytes) {
            Ok(memory) => return Ok((memory, bytes)),
            Err(_) if bytes > PAGE_BYTES => bytes /= 2,
            Err(error) => return Err(error),
        }
    }
}
