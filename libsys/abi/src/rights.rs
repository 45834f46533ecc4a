//! Kinds of object, and the rights a handle can carry on one.

use bitflags::bitflags;

/// What a handle names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An address space, a handle table and a budget.
    Process = 1,
    /// A flow of control with a fixed priority on a fixed CPU.
    Thread = 2,
    /// A place to call and to be called.
    Endpoint = 3,
    /// A place where packets arrive.
    Port = 4,
    /// Physically contiguous RAM.
    Memory = 5,
    /// A range of physical addresses that is not RAM (device registers).
    Physical = 6,
    /// A range of x86 I/O ports.
    IoPorts = 7,
    /// A one-shot timer.
    Timer = 8,
    /// Authority over the vector space.
    MessageControl = 9,
    /// One interrupt message.
    Message = 10,
    /// The kernel's own log.
    DebugLog = 11,
    /// The machine as a whole: switching it off.
    Machine = 12,
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Kind> {
        Some(match code {
            1 => Kind::Process,
            2 => Kind::Thread,
            3 => Kind::Endpoint,
            4 => Kind::Port,
            5 => Kind::Memory,
            6 => Kind::Physical,
            7 => Kind::IoPorts,
            8 => Kind::Timer,
            9 => Kind::MessageControl,
            10 => Kind::Message,
            11 => Kind::DebugLog,
            12 => Kind::Machine,
            _ => return None,
        })
    }

    /// Every right that means something on an object of this kind.
    #[must_use]
    pub const fn all_rights(self) -> Rights {
        let common = Rights::DUPLICATE.union(Rights::TRANSFER).union(Rights::REVOKE);
        let own = match self {
            Kind::Process => {
                Rights::READ.union(Rights::WRITE).union(Rights::CONTROL).union(Rights::BIND)
            }
            Kind::Thread => Rights::CONTROL,
            Kind::Endpoint => Rights::CALL.union(Rights::RECEIVE).union(Rights::MINT),
            Kind::Port => Rights::WAIT.union(Rights::SIGNAL).union(Rights::BIND),
            Kind::Memory => {
                Rights::READ.union(Rights::WRITE).union(Rights::EXECUTE).union(Rights::ADDRESS)
            }
            Kind::Physical => Rights::READ.union(Rights::WRITE).union(Rights::ADDRESS),
            Kind::IoPorts => Rights::READ.union(Rights::WRITE),
            Kind::Timer => Rights::WRITE,
            Kind::MessageControl => Rights::CONTROL.union(Rights::READ).union(Rights::BIND),
            Kind::Message => {
                Rights::READ.union(Rights::BIND).union(Rights::SIGNAL).union(Rights::CONTROL)
            }
            Kind::DebugLog => Rights::READ.union(Rights::WRITE).union(Rights::BIND),
            Kind::Machine => Rights::CONTROL,
        };
        common.union(own)
    }
}

bitflags! {
    /// What the holder of a handle may do with it. A duplicate has the same or fewer.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
    pub struct Rights: u16 {
        /// Make another handle to the object in the same process.
        const DUPLICATE = 1 << 0;
        /// Hand the object to another process.
        const TRANSFER = 1 << 1;
        /// Map readable, read ports, read a message's pair and counters.
        const READ = 1 << 2;
        /// Map writable, write ports, set a timer, change a process's address space.
        const WRITE = 1 << 3;
        /// Map executable.
        const EXECUTE = 1 << 4;
        /// Call an endpoint.
        const CALL = 1 << 5;
        /// Receive calls on an endpoint.
        const RECEIVE = 1 << 6;
        /// Give duplicates of an endpoint a badge.
        const MINT = 1 << 7;
        /// Wait on a port.
        const WAIT = 1 << 8;
        /// Raise a message by software, or signal a port.
        const SIGNAL = 1 << 9;
        /// Tie a source of packets to a port (needed on both).
        const BIND = 1 << 10;
        /// Steer the object: start and kill, activate, move, block.
        const CONTROL = 1 << 11;
        /// Learn the physical (bus) address.
        const ADDRESS = 1 << 12;
        /// Kill everything derived from this handle.
        const REVOKE = 1 << 13;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip_and_the_rest_is_refused() {
        for code in 0..=255u8 {
            if let Some(kind) = Kind::from_code(code) {
                assert_eq!(kind as u8, code);
                assert!(kind.all_rights().contains(Rights::DUPLICATE | Rights::TRANSFER));
            }
        }
        assert_eq!(Kind::from_code(0), None);
        assert_eq!(Kind::from_code(13), None);
    }
}
