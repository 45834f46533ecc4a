//! Badges that name a device: what `pci` puts on a driver's endpoints.

/// Set in every badge that names a device, so that device 00:00.0 is not badge zero.
pub const CLIENT: u64 = 1 << 32;

/// The badge of the device with this PCI requester id.
#[must_use]
pub const fn of_device(requester: u16) -> u64 {
    CLIENT | requester as u64
}

/// The requester id that a badge names, or `None` for a badge that names no device.
#[must_use]
pub const fn device_of(badge: u64) -> Option<u16> {
    if badge & !0xffff == CLIENT { Some(badge as u16) } else { None }
}

/// Set in every badge that names a platform client: a server with a device of the platform's
/// own, which has no requester id.
pub const PLATFORM: u64 = 1 << 34;

/// Set in the number of a platform client, beside the 16 bits that tell it from others.
pub const PLATFORM_CLIENT: u32 = 1 << 16;

/// Set in the number under which the interrupt server lists the messages of an IOAPIC's pins, beside
/// the requester id that they arrive with. No badge names such a client.
pub const LINE_CHIP_CLIENT: u32 = 1 << 17;

/// The badge of the platform client with this number.
#[must_use]
pub const fn of_platform(number: u16) -> u64 {
    PLATFORM | number as u64
}

/// The client of the interrupt server that a badge names: a requester id, or
/// [`PLATFORM_CLIENT`] and a platform client's number. `None` for a badge that names neither.
#[must_use]
pub const fn client_of(badge: u64) -> Option<u32> {
    match badge & !0xffff {
        CLIENT => Some(badge as u16 as u32),
        PLATFORM => Some(PLATFORM_CLIENT | badge as u16 as u32),
        _ => None,
    }
}

/// Set in every badge that names a subsystem: an interrupt server whose remapper is the one that
/// it calls with this badge.
pub const SUBSYSTEM: u64 = 1 << 35;

/// The badge of the subsystem with this number.
#[must_use]
pub const fn of_subsystem(number: u16) -> u64 {
    SUBSYSTEM | number as u64
}

/// The subsystem that a badge names, or `None` for a badge that names none.
#[must_use]
pub const fn subsystem_of(badge: u64) -> Option<u16> {
    if badge & !0xffff == SUBSYSTEM { Some(badge as u16) } else { None }
}

/// The badge of a client of the interrupt server, by the number in [`client_of`]; `None` for a
/// number that no client has.
#[must_use]
pub const fn of_client(client: u32) -> Option<u64> {
    match client >> 16 {
        0 => Some(of_device(client as u16)),
        1 => Some(of_platform(client as u16)),
        _ => None,
    }
}

/// The badge of the inspector, which may read everybody's rows at an interrupt server and ask
/// for nothing else.
pub const INSPECT: u64 = 1 << 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_badges_of_devices_name_one() {
        assert_eq!(of_device(0), 0x1_0000_0000);
        assert_eq!(device_of(of_device(0x00f8)), Some(0x00f8));
        assert_eq!(device_of(0), None);
        assert_eq!(device_of(0xf8), None);
        assert_eq!(device_of(CLIENT | 0x1_0000), None);
        assert_eq!(device_of(u64::MAX), None);
        assert_eq!(device_of(of_platform(0xf8)), None);
    }

    #[test]
    fn subsystems_are_no_clients() {
        assert_eq!(of_subsystem(3), 0x8_0000_0003);
        for number in [0, 3, u16::MAX] {
            assert_eq!(subsystem_of(of_subsystem(number)), Some(number));
            assert_eq!(client_of(of_subsystem(number)), None);
            assert_eq!(device_of(of_subsystem(number)), None);
        }
        for badge in [0, 3, of_device(3), of_platform(3), INSPECT, SUBSYSTEM | 1 << 16, u64::MAX] {
            assert_eq!(subsystem_of(badge), None);
        }
        for client in [0, 0xf8, 0xffff, 0x1_0000, 0x1_ffff] {
            assert_eq!(of_client(client).and_then(client_of), Some(client));
        }
        assert_eq!(of_client(1 << 17), None);
    }

    #[test]
    fn clients_are_devices_and_servers_of_the_platform() {
        assert_eq!(client_of(of_device(0x00f8)), Some(0xf8));
        assert_eq!(client_of(of_platform(0xf8)), Some(0x1_00f8));
        for badge in [0, 0xf8, CLIENT | 0x1_0000, PLATFORM | CLIENT, 1 << 33, INSPECT, u64::MAX] {
            assert_eq!(client_of(badge), None, "{badge:#x}");
        }
    }
}
