//! A claimed device: all that its driver was given, so that it can be taken back.

use alloc::vec::Vec;

use libsys::object::{Capability, Endpoint, Memory};
use libsys::println;
use pci_core::bars::Bars;
use pci_core::msi::Msi;
use pci_core::msix::Msix;
use pci_core::pins::{Switch, SwitchError};
use pci_core::slots::MsiSlots;
use pci_core::{Command, ConfigExt, Function, Kind, policy};
use tocsin_abi::Rights;

use crate::ecam::Page;

/// Rights that a driver gets on DMA memory.
pub const DMA_RIGHTS: Rights = Rights::READ
    .union(Rights::WRITE)
    .union(Rights::DUPLICATE)
    .union(Rights::TRANSFER)
    .union(Rights::REVOKE);

/// Command register bits that a device without a driver must not have.
const ACTIVE: Command = Command::IO.union(Command::MEMORY).union(Command::BUS_MASTER);
/// MSI-X message control, from the capability's beginning, and its enable bit
/// (PCIe §7.7.2.2).
const MSIX_CONTROL: u16 = 2;
const MSIX_ENABLE: u16 = 1 << 15;

/// A device and what its driver has of it. The handles here are the parents of the
/// driver's: revoking them takes the driver's away.
pub struct Claim {
    /// The device.
    pub function: Function,
    /// Its configuration space.
    pub config: Page,
    /// Its MSI capability, if it has one that can be used, and what this driver put there.
    pub msi: Option<MsiSlots>,
    /// Its MSI-X capability, if it has one that can be used.
    pub msix: Option<Msix>,
    /// Its interrupt pin, or why it can not be used.
    pub pin: Result<Switch, SwitchError>,
    /// Its driver knows which line the pin leads to, and the interrupt server knows the driver.
    pub pin_known: bool,
    /// DMA memory that may still be asked for, in bytes.
    pub dma_left: u64,
    /// This server and the interrupt server, with the device's badge.
    pub endpoints: [Endpoint; 2],
    bars: Vec<(u8, Capability)>,
    dma: Vec<Memory>,
}

impl Claim {
    /// Takes a device into service: quiet, whatever firmware left.
    pub fn new(
        mut config: Page,
        function: Function,
        bars: Option<&Bars>,
        dma_quota: u64,
        endpoints: [Endpoint; 2],
    ) -> Self {
        silence(&mut config, &function);
        let pin = Switch::new(&mut config, &function);
        if pin == Err(SwitchError::AlwaysOn) {
            println!("pci: the interrupt pin of {} can not be switched off", function.address);
        }
        let at = function.address;
        let msi = function.msi.and_then(|offset| Msi::read(&config, at, offset).ok());
        let msix = function.msix.zip(bars);
        let msix = msix.and_then(|(offset, bars)| Msix::read(&config, at, offset, bars).ok());
        Self {
            function,
            config,
            msi: msi.map(MsiSlots::new),
            msix,
            pin,
            pin_known: false,
            dma_left: dma_quota,
            endpoints,
            bars: Vec::new(),
            dma: Vec::new(),
        }
    }

    /// The capability for a BAR, if the driver has asked for it before.
    pub fn bar(&self, index: u8) -> Option<&Capability> {
        self.bars.iter().find(|(known, _)| *known == index).map(|(_, capability)| capability)
    }

    /// Remembers the capability for a BAR and lends it.
    pub fn keep_bar(&mut self, index: u8, capability: Capability) -> &Capability {
        self.bars.push((index, capability));
        let last = self.bars.len() - 1;
        &self.bars[last].1
    }

    /// Remembers DMA memory and lends it.
    pub fn keep_dma(&mut self, memory: Memory) -> &Memory {
        self.dma.push(memory);
        let last = self.dma.len() - 1;
        &self.dma[last]
    }

    /// Takes the device off its line.
    pub fn switch_pin_off(&mut self) {
        self.pin_known = false;
        if let Ok(pin) = &mut self.pin
            && !pin.off(&mut self.config)
        {
            println!("pci: {} does not let go of its pin", self.function.address);
        }
    }

    /// Takes everything back. The order matters: the device can no longer write to memory
    /// before the memory becomes somebody else's.
    pub fn end(mut self) {
        // First the pin: it is shared, and whoever else is on the line waits for it.
        self.switch_pin_off();
        let stopped = silence(&mut self.config, &self.function);
        for endpoint in &self.endpoints {
            report(endpoint.revoke());
        }
        for (_, bar) in &self.bars {
            report(bar.revoke());
        }
        for memory in &self.dma {
            report(memory.revoke());
        }
        // Dropping closes the last handles, and with them the memory goes; unless the device
        // may still write to it. Then it is lost to the system, but nobody else gets hurt.
        if !stopped {
            core::mem::forget(core::mem::take(&mut self.dma));
        }
    }
}

fn report(revoked: Result<(), tocsin_abi::Error>) {
    if let Err(error) = revoked {
        println!("pci: taking a capability back: {error}");
    }
}

/// Ends messages, DMA and decoding, and waits until the device has taken note. Says
/// whether it did.
fn silence(config: &mut Page, function: &Function) -> bool {
    if let Some(offset) = function.msi
        && let Ok(msi) = Msi::read(config, function.address, offset)
    {
        // A control register with reserved values was refused by `read` already.
        let _ = msi.set_enabled(config, false);
    }
    if let Some(offset) = function.msix {
        let control = config.read16(function.address, offset + MSIX_CONTROL);
        config.write16(function.address, offset + MSIX_CONTROL, control & !MSIX_ENABLE);
    }
    if function.kind != Kind::Endpoint {
        // A bridge goes on for what is behind it. Of its own it writes nothing but messages,
        // and they are off when this is answered.
        return config.read16(function.address, 0x04) != u16::MAX;
    }
    let command = policy::change_command(config, function, Command::empty(), ACTIVE);
    // A configuration read returns after the device's earlier writes have arrived (PCIe
    // §2.4.1: completions push posted requests).
    let now = config.read16(function.address, 0x04);
    let stopped = command.is_ok() && now & Command::BUS_MASTER.bits() == 0;
    if !stopped {
        println!("pci: {} does not stop (command {now:#06x})", function.address);
    }
    stopped
}
