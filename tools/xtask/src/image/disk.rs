//! The disk image: GPT, with an EFI system partition and, on x86_64, a BIOS boot partition for
//! Limine's second stage before it. Written to a USB stick it boots UEFI machines, and on x86_64
//! also BIOS machines.

use super::modules::BootFiles;
use crate::arch::Arch;
use crate::setup::Setup;
use crate::setup::limine::Limine;
use anyhow::{Context, Result};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

const SECTOR: usize = 512;
const MIB: usize = 1 << 20;
/// Ends of partitions stay clear of both copies of the partition table.
const MARGIN: usize = MIB;
/// Room for Limine's second stage, which is about 50 KiB.
const BIOS_BOOT: usize = MIB;
/// Limine's argument: the BIOS boot partition is the first one.
const BIOS_BOOT_INDEX: u32 = 1;
/// FAT32 needs at least 65,525 clusters (Microsoft FAT specification, 3.5): with 512-byte clusters
/// and the tables that is 34 MiB; firmware expects FAT32 on a fixed disk.
const SMALLEST_ESP: usize = 36 * MIB;

/// Writes the disk image to `path`.
pub fn write(
    setup: &Setup,
    limine: &Limine,
    files: &BootFiles,
    conf: &str,
    path: &Path,
) -> Result<()> {
    let bytes = build(limine, files, conf)?;
    // Limine's installer edits the file in place: give it the final name only when it is whole.
    let part = path.with_extension("part");
    write_sparse(&part, &bytes).with_context(|| format!("cannot write {}", part.display()))?;
    if limine.arch == Arch::X86_64 {
        limine.install_bios(setup, &part, BIOS_BOOT_INDEX)?;
    }
    fs::rename(&part, path).with_context(|| format!("cannot write {}", path.display()))
}

fn build(limine: &Limine, files: &BootFiles, conf: &str) -> Result<Vec<u8>> {
    let uefi_name = limine.arch.limine_uefi();
    let uefi_loader = limine.file(uefi_name)?;
    let bios_stage3 = match limine.arch {
        Arch::X86_64 => Some(limine.file("limine-bios.sys")?),
        Arch::Aarch64 => None,
    };
    let mut content: Vec<(String, &[u8])> = vec![
        (format!("EFI/BOOT/{uefi_name}"), &uefi_loader),
        ("limine.conf".into(), conf.as_bytes()),
        ("boot/kernel".into(), &files.kernel),
    ];
    content.extend(bios_stage3.iter().map(|stage| ("limine-bios.sys".into(), &stage[..])));
    content.extend(
        files.modules.iter().map(|module| (format!("boot/{}", module.name), &module.bytes[..])),
    );

    let used: usize = content.iter().map(|(_, data)| data.len().next_multiple_of(SECTOR)).sum();
    let esp = (used + used / 8 + MIB).next_multiple_of(MIB).max(SMALLEST_ESP);
    let bios_boot = if bios_stage3.is_some() { BIOS_BOOT } else { 0 };
    let start = MARGIN + bios_boot;
    let mut image = partition(start + esp + MARGIN, bios_boot, esp)?;
    image[start..start + esp].copy_from_slice(&file_system(esp, &content)?);
    Ok(image)
}

/// A blank disk of `size` bytes with its partitions; a `bios_boot` of 0 is none.
fn partition(size: usize, bios_boot: usize, esp: usize) -> Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; size]);
    let sectors = u32::try_from(size / SECTOR - 1).context("the image is too large")?;
    ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut disk)?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(disk, None)?;
    let sectors = |bytes: usize| (bytes / SECTOR) as u64;
    let mut index = BIOS_BOOT_INDEX;
    let first = sectors(MARGIN);
    if bios_boot > 0 {
        let kind = partition_types::BIOS;
        table.add_partition_at("BIOS boot", index, first, sectors(bios_boot), kind, 0)?;
        index += 1;
    }
    let first = sectors(MARGIN + bios_boot);
    table.add_partition_at("Tocsin", index, first, sectors(esp), partition_types::EFI, 0)?;
    Ok(table.write()?.into_inner())
}

/// A FAT32 file system of `size` bytes with `content`.
fn file_system(size: usize, content: &[(String, &[u8])]) -> Result<Vec<u8>> {
    let mut volume = Cursor::new(vec![0; size]);
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(SECTOR as u32)
        .volume_label(*b"TOCSIN     ");
    fatfs::format_volume(&mut volume, options)?;
    let system = FileSystem::new(&mut volume, FsOptions::new())?;
    for (path, data) in content {
        let mut dir = system.root_dir();
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
            dir = dir.create_dir(parent)?;
        }
        let mut file = dir.create_file(name)?;
        file.truncate()?;
        file.write_all(data).with_context(|| format!("the image has no room for {path}"))?;
    }
    system.unmount()?;
    Ok(volume.into_inner())
}

/// Writes `bytes`, leaving holes where a mebibyte is all zero: most of the image is empty.
fn write_sparse(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path)?;
    file.set_len(bytes.len() as u64)?;
    for (index, block) in bytes.chunks(64 << 10).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            file.write_all_at(block, (index * (64 << 10)) as u64)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn both_partitions_are_where_limine_and_firmware_look() {
        let disk = partition(40 * MIB, BIOS_BOOT, SMALLEST_ESP).expect("a disk");
        assert_eq!(&disk[510..512], &[0x55, 0xaa]);
        assert_eq!(&disk[512..520], b"EFI PART");
        let table = gpt::GptConfig::new().open_from_device(Cursor::new(disk)).expect("a table");
        let partitions = table.partitions();
        assert_eq!(partitions[&1].part_type_guid, partition_types::BIOS);
        assert_eq!(partitions[&2].part_type_guid, partition_types::EFI);
        assert_eq!(partitions[&1].first_lba, 2048);
        assert_eq!(partitions[&1].last_lba + 1, partitions[&2].first_lba);
    }

    #[test]
    fn without_bios_there_is_one_partition() {
        let disk = partition(40 * MIB, 0, SMALLEST_ESP).expect("a disk");
        let table = gpt::GptConfig::new().open_from_device(Cursor::new(disk)).expect("a table");
        let partitions = table.partitions();
        assert_eq!(partitions.len(), 1);
        assert_eq!(partitions[&1].part_type_guid, partition_types::EFI);
        assert_eq!(partitions[&1].first_lba, 2048);
    }

    #[test]
    fn files_read_back_from_the_file_system() {
        let big = vec![0x5a_u8; 100_001];
        let content =
            [("EFI/BOOT/BOOTX64.EFI".to_string(), &big[..]), ("limine.conf".to_string(), b"x")];
        let volume = file_system(SMALLEST_ESP, &content).expect("a volume");
        let system = FileSystem::new(Cursor::new(volume), FsOptions::new()).expect("FAT");
        assert_eq!(system.fat_type(), FatType::Fat32);
        for (path, data) in content {
            let mut read = Vec::new();
            let mut file = system.root_dir().open_file(&path).expect("the file");
            file.read_to_end(&mut read).expect("its bytes");
            assert_eq!(read, data);
        }
    }
}
