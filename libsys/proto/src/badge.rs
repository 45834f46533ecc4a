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
    }
}
