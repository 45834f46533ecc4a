//! What a port delivers.

/// Where a packet came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u32)]
pub enum PacketKind {
    /// A message object: a device (or `message_signal`) raised it `count` times.
    Message = 1,
    /// `port_signal`: `value` is the union of the bits signalled.
    Signal = 2,
    /// A timer's deadline passed.
    Timer = 3,
    /// A process died; `value` is its exit code or `startup::EXIT_KILLED`.
    Death = 4,
    /// To the interrupt server: the last handle but its own on a message is gone.
    Orphaned = 5,
    /// To the interrupt server: a message exceeded its rate budget.
    Storm = 6,
    /// The kernel log has text to read.
    Log = 7,
}

impl PacketKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<PacketKind> {
        Some(match code {
            1 => PacketKind::Message,
            2 => PacketKind::Signal,
            3 => PacketKind::Timer,
            4 => PacketKind::Death,
            5 => PacketKind::Orphaned,
            6 => PacketKind::Storm,
            7 => PacketKind::Log,
            _ => return None,
        })
    }
}

/// One packet, as `port_wait` writes it into the caller's buffer. The first one comes
/// in values 0 to 3 instead: `key`, `kind << 32 | count`, `first_ticks`, `value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Packet {
    /// Chosen by whoever bound the source to the port.
    pub key: u64,
    /// Events since the last wait saw this source; saturates.
    pub count: u32,
    /// A [`PacketKind`].
    pub kind: u32,
    /// Counter ticks (see `Startup::ticks_per_second`) at the first of those events.
    pub first_ticks: u64,
    /// Depends on the kind.
    pub value: u64,
}

impl Packet {
    /// Number of bytes of a packet in a buffer.
    pub const BYTES: usize = core::mem::size_of::<Packet>();

    /// The packet that `port_wait` returned in values 0 to 3.
    #[must_use]
    pub const fn from_values(values: [u64; 4]) -> Packet {
        Packet {
            key: values[0],
            count: values[1] as u32,
            kind: (values[1] >> 32) as u32,
            first_ticks: values[2],
            value: values[3],
        }
    }

    /// Values 0 to 3 for this packet.
    #[must_use]
    pub const fn to_values(self) -> [u64; 4] {
        [self.key, (self.kind as u64) << 32 | self.count as u64, self.first_ticks, self.value]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_survive_the_registers() {
        let packet = Packet { key: 7, count: 3, kind: 2, first_ticks: 99, value: 1 << 40 };
        assert_eq!(Packet::from_values(packet.to_values()), packet);
        assert_eq!(Packet::BYTES, 32);
    }
}
