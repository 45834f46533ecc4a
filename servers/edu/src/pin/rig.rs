//! The device, its wire, and what has been counted.

use demo_driver::{Stop, hear};
use libsys::Handle;
use libsys::object::{Port, now_ns};
use libsys::pci::{Device as PciDevice, DeviceWire};
use libsys::wire::WireMode;

use crate::device::{Device, DeviceError};

/// Key of the wire's packets.
const KEY: u64 = 0x1e;
/// How long anything may take that others on the line can hold up: one of them that does not
/// answer costs them the server's patience (0.5 s) and a pause (0.1 s), and there can be two.
pub const PATIENCE_NS: u64 = 5_000_000_000;

/// What came.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Times that the device was told to want something.
    pub raised: u64,
    /// Times that we were told and our device wanted something.
    pub own: u64,
    /// Times that we were told and it was somebody else's.
    pub others: u64,
    /// Times that we were told again of what stood unanswered at the device.
    pub again: u64,
    /// The longest time between wanting something and being told, in nanoseconds.
    pub longest_ns: u64,
}

/// All of it.
pub struct Rig<'a> {
    pub pci: PciDevice,
    pub device: &'a Device,
    pub counts: Counts,
    server: Handle,
    port: &'a Port,
    mode: WireMode,
    wire: DeviceWire,
}

impl<'a> Rig<'a> {
    /// Opens the wire.
    pub fn open(
        pci: PciDevice,
        server: Handle,
        device: &'a Device,
        port: &'a Port,
        mode: WireMode,
    ) -> Result<Self, Stop<DeviceError>> {
        let wire = pci.wire(server, port.handle(), mode, KEY)?;
        Ok(Self { pci, device, counts: Counts::default(), server, port, mode, wire })
    }

    /// The wire.
    pub fn wire(&self) -> &DeviceWire {
        &self.wire
    }

    /// The wire, to be moved.
    pub fn wire_mut(&mut self) -> &mut DeviceWire {
        &mut self.wire
    }

    /// The device wants something.
    pub fn raise(&mut self) {
        self.device.raise();
        self.counts.raised += 1;
    }

    /// Waits until we are told of something. `false`: nothing came.
    pub fn told(&mut self, patience_ns: u64) -> Result<bool, Stop<DeviceError>> {
        match hear(self.port, patience_ns)? {
            None => Ok(false),
            Some(packet) if packet.key == KEY => Ok(true),
            Some(_) => Err(Stop::Unexpected("a packet under a key that is not the wire's")),
        }
    }

    /// Looks at the device, serves it if it wants something, and lets the line go.
    pub fn serve(&mut self) -> Result<(), Stop<DeviceError>> {
        if self.device.acknowledge() == 0 {
            self.counts.others += 1;
        } else {
            self.counts.own += 1;
        }
        Ok(self.wire.acknowledge()?)
    }

    /// The device wants something once, and is served. Whatever others want meanwhile is not
    /// ours.
    pub fn once(&mut self) -> Result<(), Stop<DeviceError>> {
        let (before, start_ns) = (self.counts.own, now_ns());
        self.raise();
        while self.counts.own == before {
            if !self.told(PATIENCE_NS)? {
                return Err(Stop::Unexpected("the device wants something, and nobody told us"));
            }
            self.serve()?;
        }
        self.counts.longest_ns = self.counts.longest_ns.max(now_ns().saturating_sub(start_ns));
        Ok(())
    }

    /// Gives the wire back and takes it again.
    pub fn reopen(self) -> Result<Self, Stop<DeviceError>> {
        let Self { pci, device, counts, server, port, mode, wire } = self;
        wire.close()?;
        let wire = pci.wire(server, port.handle(), mode, KEY)?;
        Ok(Self { pci, device, counts, server, port, mode, wire })
    }

    /// Gives the wire back.
    pub fn close(self) -> Result<(), Stop<DeviceError>> {
        Ok(self.wire.close()?)
    }
}
