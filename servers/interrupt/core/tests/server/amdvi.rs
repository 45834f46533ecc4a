//! What is particular to an AMD IOMMU: a table for each device, and whose table that is.

use crate::common::{A, B, OverAmdVi, Rig, Server, alloc, request, settle};
use interrupt_core::fake::{AmdViOptions, FakeMachine, fake_config};
use interrupt_core::{BackEnd, ClientPolicy, Error, FaultOwner, Kind, RequesterId};

const IO_APIC: RequesterId = RequesterId::from_bits(0x00a0);

/// The 513th message of a device has no place, and nothing has changed; its neighbour has all
/// of its own.
#[test]
fn a_devices_entries_run_out() {
    let machine = OverAmdVi::machine(1);
    let mut core = OverAmdVi::server(&machine, &fake_config(0x3f, 2048, 1024));
    let mut out = [None; 32];
    let mut all = Vec::new();
    for _ in 0..16 {
        core.alloc(A, &request(Kind::Msix), &mut out).unwrap();
        all.extend(out.iter_mut().filter_map(Option::take));
    }
    let before = (core.back_end_mut().entries_used(), machine.kernel.live());
    assert_eq!(before, (512, 512));
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::NoEntries));
    assert_eq!((core.back_end_mut().entries_used(), machine.kernel.live()), before);
    let theirs = alloc(&mut core, B, Kind::Msix).unwrap();
    assert_eq!((theirs.pair.data, all[511].pair.data), (0, 511));
    // One goes, one comes; a request that fits only in part changes nothing.
    core.free(A, all[7].id).unwrap();
    settle(&machine, &mut core);
    assert_eq!(core.alloc(A, &request(Kind::Msix), &mut out), Err(Error::NoEntries));
    settle(&machine, &mut core);
    let again = alloc(&mut core, A, Kind::Msix).unwrap();
    assert_eq!(again.pair, all[7].pair);
    core.activate(A, again.id).unwrap();
    assert_eq!(machine.fire(A, again.pair, again.handle), 1);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// No memory for one more table: only the device that needs it hears of it.
#[test]
fn table_memory_runs_out() {
    let machine =
        FakeMachine::with_amdvi(1, AmdViOptions { table_bytes: 8 << 10, ..Default::default() });
    let mut core = OverAmdVi::server(&machine, &fake_config(0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    assert_eq!(alloc(&mut core, B, Kind::Msix), Err(Error::NoMemory));
    core.activate(A, message.id).unwrap();
    core.free(A, message.id).unwrap();
    settle(&machine, &mut core);
    let theirs = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, theirs.id).unwrap();
    assert_eq!(machine.fire(B, theirs.pair, theirs.handle), 1);
    assert_eq!(machine.fire(A, message.pair, theirs.handle), 0);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// DMA that counts as the IO APIC's: IMS messages of all such devices share its table, MSI
/// messages stay in each device's own.
#[test]
fn dma_counts_as_anothers() {
    let machine = OverAmdVi::machine(1);
    let config = fake_config(0x3f, 64, 32);
    let mut core: Server<OverAmdVi> = OverAmdVi::bare_server(&machine, &config);
    for client in [A, B] {
        let policy = ClientPolicy { dma_source: Some(IO_APIC), ..config.core.default_policy };
        core.register(client, policy).unwrap();
    }
    let msi = alloc(&mut core, A, Kind::PciMsi).unwrap();
    let ims = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    let theirs = alloc(&mut core, B, Kind::QueueMemory).unwrap();
    assert_eq!((msi.pair.data, ims.pair.data, theirs.pair.data), (0, 0, 1));
    for (client, message) in [(A, msi), (A, ims), (B, theirs)] {
        core.activate(client, message.id).unwrap();
    }
    let delivered = |message: &interrupt_core::Allocated<_>| {
        machine.take_events();
        machine.kernel.delivered(message.handle)
    };
    machine.write(Some(A), msi.pair);
    assert_eq!((delivered(&msi), delivered(&ims), delivered(&theirs)), (1, 0, 0));
    machine.write(None, ims.pair);
    assert_eq!((delivered(&msi), delivered(&ims), delivered(&theirs)), (1, 1, 0));
    machine.write(None, theirs.pair);
    assert_eq!((delivered(&msi), delivered(&ims), delivered(&theirs)), (1, 1, 1));
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// The log names the device, not the entry: a fault is counted against who sent it.
#[test]
fn faults_are_the_senders() {
    let machine = OverAmdVi::machine(1);
    let mut core = OverAmdVi::server(&machine, &fake_config(0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    for source in [A, B, IO_APIC] {
        machine.write(Some(source), message.pair);
    }
    let mut owners = Vec::new();
    assert_eq!(core.poll_faults(8, |_, owner| owners.push(owner)), 3);
    let expected =
        [FaultOwner::Client(A.into()), FaultOwner::Client(B.into()), FaultOwner::Unknown(IO_APIC)];
    assert_eq!(owners, expected);
}
