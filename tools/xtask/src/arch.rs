//! The architectures, and what each needs from the outside.

use crate::setup::Tool;
use clap::ValueEnum;
use serde::Deserialize;
use std::fmt;

/// What the programs are built for and the guest is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, ValueEnum)]
pub enum Arch {
    #[serde(rename = "x86_64")]
    #[value(name = "x86_64")]
    X86_64,
    #[serde(rename = "aarch64")]
    #[value(name = "aarch64")]
    Aarch64,
}

/// Files of UEFI firmware for QEMU: its code, and the variables that each guest starts with.
pub type FirmwareFiles = (&'static str, &'static str);

impl Arch {
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// Rust's target for the kernel, the servers and the boot stub: no floating-point registers,
    /// no operating system.
    pub fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-none",
            Self::Aarch64 => "aarch64-unknown-none-softfloat",
        }
    }

    /// QEMU, and Debian's package of it.
    pub fn qemu(self) -> Tool {
        match self {
            Self::X86_64 => Tool { program: "qemu-system-x86_64", packages: &["qemu-system-x86"] },
            Self::Aarch64 => {
                Tool { program: "qemu-system-aarch64", packages: &["qemu-system-arm"] }
            }
        }
    }

    /// Where distributions put UEFI firmware, Debian's place first, and Debian's package of it.
    pub fn firmware(self) -> (&'static [FirmwareFiles], &'static str) {
        match self {
            // The 4M build first: the only one in newer releases.
            Self::X86_64 => (
                &[
                    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
                    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
                    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
                ],
                "ovmf",
            ),
            // These are padded to the 64 MiB that QEMU's `virt` wants of a flash chip.
            Self::Aarch64 => (
                &[
                    ("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
                    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
                    (
                        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
                        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
                    ),
                ],
                "qemu-efi-aarch64",
            ),
        }
    }

    /// Limine's UEFI program, and the name by which firmware finds it on a disk (UEFI
    /// specification 2.10, table 3.2).
    pub fn limine_uefi(self) -> &'static str {
        match self {
            Self::X86_64 => "BOOTX64.EFI",
            Self::Aarch64 => "BOOTAA64.EFI",
        }
    }

    /// QEMU's words for the way in which a guest ends it with a status of its own.
    ///
    /// x86_64: a write to the port ends with `(value << 1) | 1`. aarch64: the semihosting call
    /// SYS_EXIT_EXTENDED (Arm's "Semihosting for AArch32 and AArch64", 7.10).
    pub fn exit_device(self) -> [&'static str; 2] {
        match self {
            Self::X86_64 => ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
            Self::Aarch64 => ["-semihosting-config", "enable=on,target=native"],
        }
    }

    /// QEMU's words for `drive=boot` as a disk that firmware boots from.
    ///
    /// No device may join those that the demonstration looks at. On q35 the disk hangs on the
    /// AHCI controller that is there anyway. On `virt` it takes one of the virtio-mmio slots, which
    /// are not on PCI; firmware has the driver.
    pub fn boot_disk(self) -> &'static str {
        match self {
            Self::X86_64 => "ide-hd,drive=boot",
            Self::Aarch64 => "virtio-blk-device,drive=boot",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}
