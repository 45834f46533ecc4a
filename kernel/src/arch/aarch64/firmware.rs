//! What the firmware says about the machine: ACPI tables, or else a device tree.

use core::ops::Range;

use tocsin_firmware::arm::{Console, Platform};
use tocsin_firmware::{PhysReader, Root};

use super::{gic, serial};
use crate::fatal::fatal;

/// Registers of the GIC are in frames of this alignment (Arm IHI 0069H, 12.8).
const GIC_ALIGNMENT: u64 = 0x1_0000;

/// What the kernel needs to know.
pub struct Firmware {
    /// The machine.
    pub platform: Platform,
}

impl Firmware {
    /// Asks the firmware: ACPI where there is any. Its console comes first, so that whatever is
    /// missing can be said.
    pub fn read(
        rsdp: Option<u64>,
        device_tree: Option<&[u8]>,
        memory: &impl PhysReader,
    ) -> Firmware {
        let platform = match (rsdp, device_tree) {
            (Some(rsdp), _) => match Root::read(memory, rsdp) {
                Ok(root) => {
                    use_console(Console::from_acpi(memory, &root));
                    Platform::from_acpi(memory, &root)
                }
                Err(error) => fatal(format_args!("the ACPI root table can not be used: {error}")),
            },
            (None, Some(tree)) => {
                use_console(Console::from_device_tree(tree));
                Platform::from_device_tree(tree)
            }
            (None, None) => fatal(format_args!(
                "the loader gave neither ACPI tables nor a device tree: \
                 nothing is known about this machine"
            )),
        };
        match platform {
            Ok(platform) => {
                check_gic(&platform);
                Firmware { platform }
            }
            Err(error) => fatal(format_args!("firmware does not describe this machine: {error}")),
        }
    }

    /// Physical addresses of the device registers that the kernel itself uses.
    pub fn devices(&self) -> impl Iterator<Item = Range<u64>> {
        gic::frames(&self.platform).chain(self.platform.console.iter().map(serial::page))
    }
}

fn use_console(console: Option<Console>) {
    if let Some(console) = console {
        serial::init_early(&console);
    }
}

fn check_gic(platform: &Platform) {
    if platform.gic.version < 3 {
        fatal(format_args!(
            "the interrupt controller is a GICv{}: a GICv3 or newer is needed",
            platform.gic.version
        ));
    }
    for range in gic::frames(platform) {
        if !range.start.is_multiple_of(GIC_ALIGNMENT) {
            fatal(format_args!(
                "firmware says that the GIC has registers at {:#x}, where none can be",
                range.start
            ));
        }
    }
}
