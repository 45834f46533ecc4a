//! What the server tests share.

use interrupt_core::fake::{FakeHandle, FakeKernel, FakeMachine, FakeUnit, VtdOptions};
use interrupt_core::{
    AllocRequest, Allocated, Contiguity, Core, CpuSet, Error, Kind, Remapper, RequesterId,
};

pub(crate) type Vtd = Core<FakeUnit, FakeKernel>;

pub(crate) const A: RequesterId = RequesterId::from_bits(0x0010);
pub(crate) const B: RequesterId = RequesterId::from_bits(0x0018);

pub(crate) fn request(kind: Kind) -> AllocRequest {
    AllocRequest { kind, contiguity: Contiguity::Single, cpus: CpuSet::ALL }
}

pub(crate) fn machine(cpus: u8) -> FakeMachine {
    FakeMachine::new(cpus, Some(VtdOptions::default()))
}

pub(crate) fn alloc<R: Remapper>(
    core: &mut Core<R, FakeKernel>,
    client: RequesterId,
    kind: Kind,
) -> Result<Allocated<FakeHandle>, Error<interrupt_core::fake::FakeError>> {
    let mut out = [None];
    core.alloc(client, &request(kind), &mut out)?;
    Ok(out[0].expect("an answer"))
}

pub(crate) fn settle(machine: &FakeMachine, core: &mut Vtd) {
    machine.kernel.take_events();
    for _ in 0..100 {
        if core.tick(64) == 0 {
            return;
        }
    }
    panic!("the quarantine does not empty");
}
