//! What enumeration learns of one function.

use tocsin_firmware::pci_host::Pin;

use crate::{
    CAPABILITY_EXPRESS, CAPABILITY_MSI, CAPABILITY_MSIX, CapabilityError, ConfigExt, ConfigSpace,
    FunctionAddress, capabilities,
    header::{
        DEVICE, HEADER_TYPE, INTERRUPT_PIN, PRIMARY_BUS, REVISION_CLASS, SECONDARY_BUS,
        SUBORDINATE_BUS, VENDOR,
    },
};

/// A bridge's bus numbers (bridge §3.2.5.3 to §3.2.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeBuses {
    /// The bus it is on, as it believes.
    pub primary: u8,
    /// The bus behind it.
    pub secondary: u8,
    /// The last bus behind it.
    pub subordinate: u8,
}

/// The kind of header (PCIe §7.5.1.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Type 0: an ordinary function.
    Endpoint,
    /// Type 1: a PCI-to-PCI bridge, a root port or a switch port.
    Bridge(BridgeBuses),
    /// Type 2: a CardBus bridge. What is behind it is not looked for.
    CardBus,
    /// A type that is not defined.
    Unknown(u8),
}

/// Device and port type of a PCI Express function (PCIe §7.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Express {
    /// Endpoint, also legacy endpoint, root-complex integrated endpoint and event collector.
    Endpoint,
    /// Root port.
    RootPort,
    /// Upstream port of a switch.
    UpstreamPort,
    /// Downstream port of a switch.
    DownstreamPort,
    /// PCI Express on top, PCI or PCI-X below.
    ToPciBridge,
    /// PCI or PCI-X on top, PCI Express below.
    FromPciBridge,
    /// A type that is not defined.
    Unknown(u8),
}

impl Express {
    fn decode(capabilities_register: u16) -> Self {
        match (capabilities_register >> 4 & 0xf) as u8 {
            0 | 1 | 9 | 10 => Self::Endpoint,
            4 => Self::RootPort,
            5 => Self::UpstreamPort,
            6 => Self::DownstreamPort,
            7 => Self::ToPciBridge,
            8 => Self::FromPciBridge,
            other => Self::Unknown(other),
        }
    }

    /// Only device 0 can be on the bus below (PCIe §7.3.1): a link has one end. Some hardware answers as device 0 for all
    /// 32 numbers, so the others must not be asked.
    pub fn has_one_device_below(self) -> bool {
        matches!(self, Self::RootPort | Self::DownstreamPort)
    }
}

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub address: FunctionAddress,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code: base class, subclass, programming interface.
    pub class: [u8; 3],
    /// Revision id.
    pub revision: u8,
    /// Kind of header.
    pub kind: Kind,
    /// Function 0 says that others follow.
    pub multi_function: bool,
    /// Its PCI Express type; `None` for conventional PCI.
    pub express: Option<Express>,
    /// Its interrupt pin. A reserved value is none.
    pub pin: Option<Pin>,
    /// Offset of its MSI capability.
    pub msi: Option<u16>,
    /// Offset of its MSI-X capability.
    pub msix: Option<u16>,
    /// What is wrong with its capability list, if anything.
    pub capability_error: Option<CapabilityError>,
    /// Index in the topology of the bridge that it is behind.
    pub parent: Option<usize>,
}

impl Function {
    /// Reads a function's header and capability list; `None` when nothing is there.
    pub(crate) fn read<C: ConfigSpace + ?Sized>(
        config: &C,
        address: FunctionAddress,
        parent: Option<usize>,
    ) -> Option<Self> {
        let vendor = config.read16(address, VENDOR);
        // All ones: nothing answered (PCIe §2.3.2). Zero is no vendor either, and some bridges answer with it.
        if vendor == 0xffff || vendor == 0 {
            return None;
        }
        let [revision, interface, subclass, base] =
            config.read32(address, REVISION_CLASS).to_le_bytes();
        let header_type = config.read8(address, HEADER_TYPE);
        let mut function = Self {
            address,
            vendor,
            device: config.read16(address, DEVICE),
            class: [base, subclass, interface],
            revision,
            kind: match header_type & 0x7f {
                0 => Kind::Endpoint,
                1 => Kind::Bridge(BridgeBuses {
                    primary: config.read8(address, PRIMARY_BUS),
                    secondary: config.read8(address, SECONDARY_BUS),
                    subordinate: config.read8(address, SUBORDINATE_BUS),
                }),
                2 => Kind::CardBus,
                other => Kind::Unknown(other),
            },
            multi_function: header_type & 0x80 != 0,
            express: None,
            pin: Pin::from_register(config.read8(address, INTERRUPT_PIN)),
            msi: None,
            msix: None,
            capability_error: None,
            parent,
        };
        for capability in capabilities(config, address) {
            match capability {
                Ok(found) => match found.id {
                    CAPABILITY_EXPRESS => {
                        let register = config.read16(address, found.offset + 2);
                        function.express.get_or_insert(Express::decode(register));
                    }
                    // "A function has at most one" (PCIe §7.7.1, §7.7.2): the first counts.
                    CAPABILITY_MSI => function.msi = function.msi.or(Some(found.offset)),
                    CAPABILITY_MSIX => function.msix = function.msix.or(Some(found.offset)),
                    _ => {}
                },
                Err(error) => function.capability_error = Some(error),
            }
        }
        Some(function)
    }

    /// Its bus numbers, if it is a bridge.
    pub fn buses(&self) -> Option<BridgeBuses> {
        match self.kind {
            Kind::Bridge(buses) => Some(buses),
            _ => None,
        }
    }
}
