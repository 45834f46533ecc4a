//! What `message_read` says about a message.

/// Life of a message object (DESIGN §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum MessageState {
    /// Has no CPU event yet.
    Reserved = 0,
    /// Owns a vector.
    Active = 1,
    /// Owns a vector; the kernel counts events but delivers none.
    Blocked = 2,
}

/// How a message's source raises its vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
#[repr(u8)]
pub enum Trigger {
    /// Each event stands for itself; nothing is to be acknowledged.
    #[default]
    Edge = 0,
    /// The source asks until it is served: one event, held until it is acknowledged.
    Level = 1,
}

impl Trigger {
    /// The trigger with this number.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Trigger> {
        match code {
            0 => Some(Trigger::Edge),
            1 => Some(Trigger::Level),
            _ => None,
        }
    }
}

/// A message's pair, state and counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageStatus {
    /// Address that the device writes to.
    pub address: u64,
    /// Data that the device writes.
    pub data: u32,
    /// State.
    pub state: MessageState,
    /// CPU of the last event, or of the vector while there was none.
    pub cpu: u8,
    /// Vector (on aarch64 the INTID), zero when the message has none.
    pub vector: u16,
    /// Events that made a packet.
    pub delivered: u64,
    /// Events that were added to a packet still waiting.
    pub coalesced: u64,
    /// Events that came while blocked or after deactivation.
    pub blocked: u64,
}

impl MessageStatus {
    /// As values 0 to 4 of `message_read`: address; `data | state << 32 | cpu << 40 |
    /// vector << 48`; delivered; coalesced; blocked.
    #[must_use]
    pub const fn to_values(self) -> [u64; 5] {
        let second = self.data as u64
            | (self.state as u64) << 32
            | (self.cpu as u64) << 40
            | (self.vector as u64) << 48;
        [self.address, second, self.delivered, self.coalesced, self.blocked]
    }

    /// The reverse of [`MessageStatus::to_values`].
    #[must_use]
    pub const fn from_values(values: [u64; 5]) -> MessageStatus {
        MessageStatus {
            address: values[0],
            data: values[1] as u32,
            state: match values[1] >> 32 & 0xff {
                1 => MessageState::Active,
                2 => MessageState::Blocked,
                _ => MessageState::Reserved,
            },
            cpu: (values[1] >> 40) as u8,
            vector: (values[1] >> 48) as u16,
            delivered: values[2],
            coalesced: values[3],
            blocked: values[4],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_survives_the_registers() {
        let status = MessageStatus {
            address: 0xfee0_0010,
            data: 0x1234_5678,
            state: MessageState::Blocked,
            cpu: 3,
            vector: 0x2041,
            delivered: 1,
            coalesced: 2,
            blocked: 3,
        };
        assert_eq!(MessageStatus::from_values(status.to_values()), status);
    }
}
