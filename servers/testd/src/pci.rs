//! The PCI server's protocol, misused (invariant 1: a driver reaches its own function, and
//! of that only what can not harm others).

use libsys::ipc::{AskError, ask, ask_with, call};
use tocsin_abi::{Error as KernelError, Rights};
use tocsin_proto::badge;
use tocsin_proto::pci::{
    Claim, ConfigRead, ConfigWrite, Describe, Dma, Error, GetBar, MsiUnmask, MsiWrite, Width,
};

use crate::driver::{Claimed, EDU, Edu, PciError};
use crate::harness::{Outcome, check, refused, same, wrong};
use crate::kit::{self, Ctx};

crate::tests![
    pci_drivers_can_not_claim,
    pci_unknown_devices_are_refused,
    pci_badge_without_claim_is_refused,
    pci_garbage_is_refused,
    pci_configuration_writes_follow_the_policy,
    pci_configuration_offsets_have_limits,
    pci_bars_are_the_devices_own,
    pci_dma_quota_holds,
    pci_msi_slots_have_limits,
    pci_release_takes_everything_back,
    pci_new_claim_ends_the_old_one,
];

fn denied<T>(result: Result<T, PciError>, wanted: Error, what: impl core::fmt::Display) -> Outcome {
    match result {
        Err(AskError::Refused(error)) => same(error, wanted, what),
        Err(error) => Err(wrong(alloc::format!("{what}: {error:?}, wanted {wanted:?}"))),
        Ok(_) => Err(wrong(alloc::format!("{what}: allowed, wanted {wanted:?}"))),
    }
}

fn claim_request(ids: (u16, u16)) -> Claim {
    Claim { vendor: ids.0, device: ids.1, nth: 0, dma_quota: 1 << 20 }
}

fn pci_drivers_can_not_claim(ctx: &Ctx) -> Outcome {
    let edu = Claimed::new(ctx, EDU)?;
    let again = ask_with(edu.h(), &claim_request(EDU), &[]);
    denied(again, Error::NotAllowed, "claim by a driver")?;
    let release = call(edu.h(), init_control::Release::LABEL, &[edu.requester.into()], &[])?;
    check(release.label != 0, "release by a driver")?;
    ask(edu.h(), &Describe)?;
    Ok(())
}

fn pci_unknown_devices_are_refused(ctx: &Ctx) -> Outcome {
    let pci = ctx.need("pci")?;
    for ids in [(0xffff, 0xffff), (0, 0), (0x1234, 0x1111 ^ 0xffff)] {
        let claimed = ask_with(pci, &claim_request(ids), &[]);
        denied(claimed, Error::NoSuchDevice, format_args!("{ids:x?}"))?;
    }
    let far = Claim { nth: 77, ..claim_request(EDU) };
    denied(ask_with(pci, &far, &[]), Error::NoSuchDevice, "the 78th edu")?;
    let release = call(pci, init_control::Release::LABEL, &[0xffff], &[])?;
    check(release.label != 0, "release of what nobody has")
}

fn pci_badge_without_claim_is_refused(ctx: &Ctx) -> Outcome {
    let pci = ctx.need("pci")?;
    for badge in [badge::of_device(0xfe30), badge::of_device(0), 1, 1 << 33, u64::MAX] {
        let ghost = kit::badged(pci, Rights::CALL, badge)?;
        denied(ask(ghost.h(), &Describe), Error::NotAllowed, badge)?;
        denied(ask(ghost.h(), &Dma { size_bytes: 4096 }).map(drop), Error::NotAllowed, badge)?;
    }
    Ok(())
}

fn pci_garbage_is_refused(ctx: &Ctx) -> Outcome {
    let edu = Claimed::new(ctx, EDU)?;
    let before = ask(edu.h(), &Describe)?;
    let port = kit::port()?;
    let mut seed = 0x0bad_5eed_0bad_5eedu64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2000 {
        let label = if next() % 2 == 0 { next() % 16 } else { next() } as u32;
        // Honest DMA requests are for another test: this one must not use the quota up.
        if label == 9 {
            continue;
        }
        let words: alloc::vec::Vec<u64> =
            (0..next() % 5).map(|_| next() >> (next() % 64)).collect();
        let handles = [(port.h(), Rights::SIGNAL); 2];
        let count = if next() % 4 == 0 { (next() % 3) as usize } else { 0 };
        drop(call(edu.h(), label, &words, &handles[..count])?);
    }
    same(ask(edu.h(), &Describe)?, before, "the device is what it was")?;
    let system = ctx.need("pci")?;
    for label in [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x101, 0x103, u32::MAX] {
        let reply = call(system, label, &[next(), next()], &[])?;
        check(reply.label != 0, format_args!("label {label} from the system"))?;
    }
    Ok(())
}

fn pci_configuration_writes_follow_the_policy(ctx: &Ctx) -> Outcome {
    let edu = Claimed::new(ctx, EDU)?;
    let device = edu.device();
    let msi = (0x34..=0x34).map(|at| device.config_read(at, Width::Byte)).next();
    let msi = msi.ok_or_else(|| wrong("no register"))?? as u16;
    for (offset, what) in [
        (0x00, "ids"),
        (0x08, "class"),
        (0x0c, "header type"),
        (0x10, "BAR 0"),
        (0x14, "BAR 1"),
        (0x24, "BAR 5"),
        (0x30, "expansion ROM"),
        (0x34, "capability pointer"),
        (0x3c, "interrupt line"),
        (msi, "MSI control"),
        (msi + 4, "MSI address"),
        (msi + 8, "MSI data or upper address"),
        (0xfc, "device specific"),
    ] {
        let before = device.config_read(offset, Width::Long)?;
        let write = ConfigWrite { offset, width: Width::Long, value: !before };
        denied(ask(edu.h(), &write), Error::Denied, what)?;
        same(device.config_read(offset, Width::Long)?, before, what)?;
    }
    // Byte by byte is no way around it.
    for offset in 0x10..0x18 {
        let write = ConfigWrite { offset, width: Width::Byte, value: 0xff };
        denied(ask(edu.h(), &write), Error::Denied, "a byte of a BAR")?;
    }
    Ok(())
}

fn pci_configuration_offsets_have_limits(ctx: &Ctx) -> Outcome {
    let edu = Claimed::new(ctx, EDU)?;
    for (offset, width) in [
        (1, Width::Word),
        (2, Width::Long),
        (3, Width::Long),
        (4096, Width::Byte),
        (4095, Width::Word),
        (4094, Width::Long),
        (u16::MAX, Width::Byte),
    ] {
        let read = ask(edu.h(), &ConfigRead { offset, width }).map(drop);
        denied(read, Error::BadOffset, format_args!("{offset:#x}"))?;
    }
    let ids = ask(edu.h(), &ConfigRead { offset: 0, width: Width::Long })?.value;
    same(ids, u32::from(EDU.1) << 16 | u32::from(EDU.0), "its own ids")
}

fn pci_bars_are_the_devices_own(ctx: &Ctx) -> Outcome {
    let edu = Claimed::new(ctx, EDU)?;
    for index in 1..6 {
        let bar = ask_with(edu.h(), &GetBar { index }, &[]).map(drop);
        denied(bar, Error::NoSuchBar, format_args!("BAR {index}"))?;
    }
    let label = call(edu.h(), 3, &[6], &[])?.label;
    same(label, Error::Malformed as u32, "BAR 6")?;
    let (bar, handles) = ask_with(edu.h(), &GetBar { index: 0 }, &[])?;
    let range = handles.first().map(libsys::object::Capability::handle);
    let range = range.ok_or_else(|| wrong("no handle"))?;
    same(libsys::sys::memory_info(range)?.values[0], bar.size_bytes, "no more than the BAR")?;
    let past = libsys::sys::physical_slice(range, bar.size_bytes, 4096, Rights::READ);
    refused(past, KernelError::OutOfRange, "a slice past the BAR")
}

fn pci_dma_quota_holds(ctx: &Ctx) -> Outcome {
    // `Claimed` asks for 64 KiB.
    let edu = Claimed::new(ctx, EDU)?;
    denied(ask_with(edu.h(), &Dma { size_bytes: 0 }, &[]).map(drop), Error::BadArgument, "none")?;
    for size_bytes in [(64 << 10) + 1, 1 << 30, 1 << 63, u64::MAX] {
        let result = ask_with(edu.h(), &Dma { size_bytes }, &[]).map(drop);
        let is_refused =
            matches!(result, Err(AskError::Refused(Error::QuotaExceeded | Error::BadArgument)));
        check(is_refused, format_args!("{size_bytes:#x} bytes: {result:?}"))?;
    }
    let mut kept = alloc::vec::Vec::new();
    for _ in 0..16 {
        kept.push(ask_with(edu.h(), &Dma { size_bytes: 4096 }, &[])?);
    }
    let more = ask_with(edu.h(), &Dma { size_bytes: 1 }, &[]).map(drop);
    denied(more, Error::QuotaExceeded, "one page too many")?;
    // Closing the driver's handle gives nothing back: the device may still write there.
    drop(kept);
    let more = ask_with(edu.h(), &Dma { size_bytes: 1 }, &[]).map(drop);
    denied(more, Error::QuotaExceeded, "after closing the handles")
}

fn pci_msi_slots_have_limits(ctx: &Ctx) -> Outcome {
    let edu = Edu::new(ctx)?;
    let client = edu.client(ctx)?;
    let irq = client.one(tocsin_proto::StoreKind::PciMsi)?;
    let pair = [(irq.message.h(), Rights::READ)];
    for slot in [1, 2, 31, 255] {
        let write = ask_with(edu.claim.h(), &MsiWrite { slot }, &pair).map(drop);
        denied(write, Error::BadSlot, format_args!("slot {slot}"))?;
        denied(ask(edu.claim.h(), &MsiUnmask { slot }), Error::BadSlot, format_args!("{slot}"))?;
    }
    // Unmasking before anything was written would let the device use a pair of before.
    let early = ask(edu.claim.h(), &MsiUnmask { slot: 0 });
    denied(early, Error::BadPair, "unmask before write")?;
    client.free(irq.id)?;
    Ok(())
}

fn pci_release_takes_everything_back(ctx: &Ctx) -> Outcome {
    let edu = Claimed::new(ctx, EDU)?;
    let (_, bar) = ask_with(edu.h(), &GetBar { index: 0 }, &[])?;
    let (_, dma) = ask_with(edu.h(), &Dma { size_bytes: 4096 }, &[])?;
    let irq = {
        let request = tocsin_proto::interrupt::Alloc {
            count: 1,
            kind: tocsin_proto::StoreKind::PciMsi,
            contiguity: tocsin_proto::interrupt::Contiguity::Any,
            cpus: tocsin_proto::interrupt::ANY_CPU,
        };
        ask_with(edu.interrupt.h(), &request, &[])?.1
    };
    same(edu.release()?, 0, "release")?;
    for (what, handles) in [("BAR", &bar), ("DMA memory", &dma), ("message", &irq)] {
        let live = handles.iter().any(|handle| kit::is_live(handle.handle()));
        check(!live, format_args!("the driver's {what} survives the release"))?;
    }
    check(!kit::is_live(edu.h()), "the driver's endpoint survives the release")?;
    check(!kit::is_live(edu.interrupt.h()), "its interrupt endpoint survives the release")?;
    check(edu.release()? != 0, "released twice")
}

fn pci_new_claim_ends_the_old_one(ctx: &Ctx) -> Outcome {
    let old = Claimed::new(ctx, EDU)?;
    let (_, bar) = ask_with(old.h(), &GetBar { index: 0 }, &[])?;
    let new = Claimed::new(ctx, EDU)?;
    check(!kit::is_live(old.h()), "the old endpoint")?;
    check(!bar.iter().any(|handle| kit::is_live(handle.handle())), "the old BAR")?;
    ask(new.h(), &Describe)?;
    Ok(())
}
