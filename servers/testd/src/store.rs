//! Stores that break the rules of DESIGN §7 (seed 004), over the real device: each is
//! refused when it is made, with the rule that it breaks, and no message is taken for it.

use libsys::store::{EntryLayout, MaskField, Store, StoreError, Template};
use tocsin_proto::StoreKind;

use crate::driver::Lsi;
use crate::harness::{Outcome, check, same};
use crate::kit::Ctx;

crate::tests![
    store_template_without_an_operation_is_refused,
    store_template_that_sets_affinity_is_refused,
    store_layout_over_the_script_ram_is_checked,
];

/// A template with everything that it needs.
fn complete(capacity: Option<u32>) -> Template {
    Template::new(StoreKind::DeviceArray, capacity)
        .write(|_, _| Ok(()))
        .mask(|_| Ok(()))
        .unmask(|_| Ok(()))
}

fn refused(template: Template, rule: StoreError, what: &str) -> Outcome {
    match Store::new(template) {
        Err(error) => same(error, rule, what),
        Ok(_) => check(false, format_args!("{what}: allowed")),
    }
}

fn store_template_without_an_operation_is_refused(ctx: &Ctx) -> Outcome {
    let lsi = Lsi::new(ctx)?;
    let client = lsi.client(ctx)?;
    let before = client.info()?;
    refused(Template { mask: None, ..complete(Some(4)) }, StoreError::NoMask, "no mask")?;
    refused(Template { unmask: None, ..complete(Some(4)) }, StoreError::NoUnmask, "no unmask")?;
    refused(Template { write: None, ..complete(Some(4)) }, StoreError::NoWrite, "no write")?;
    refused(complete(Some(4)).lock(|| Ok(())), StoreError::HalfBracket, "lock without commit")?;
    check(Store::new(complete(Some(4))).is_ok(), "a template with all of them")?;
    same(client.info()?, before, "what the interrupt server has given out")
}

fn store_template_that_sets_affinity_is_refused(_: &Ctx) -> Outcome {
    let mut template = complete(Some(4));
    template.set_affinity = Some(alloc::boxed::Box::new(|_, _| Ok(())));
    refused(template, StoreError::HasAffinity, "affinity that touches the device")
}

fn store_layout_over_the_script_ram_is_checked(ctx: &Ctx) -> Outcome {
    let good = EntryLayout {
        base: 0,
        stride: 32,
        slots: 256,
        address: 8,
        address_high: None,
        data: 24,
        mask: Some(MaskField::bit_masks(28, 1)),
    };
    let make = |layout| {
        let ram = Lsi::new(ctx)?.into_ram();
        Ok::<_, crate::harness::Failure>(Store::device_array(ram, layout).map(drop))
    };
    same(make(good)?, Ok(()), "256 slots of 32 bytes")?;
    same(make(EntryLayout { mask: None, ..good })?, Err(StoreError::NoMask), "no mask")?;
    same(make(EntryLayout { slots: 0, ..good })?.is_err(), true, "no slots")?;
    same(make(EntryLayout { slots: 257, ..good })?.is_err(), true, "beyond the memory")?;
    same(make(EntryLayout { data: 8, ..good })?.is_err(), true, "data over the address")?;
    same(make(EntryLayout { stride: 24, ..good })?.is_err(), true, "slots that overlap")?;
    same(make(EntryLayout { base: 2, ..good })?.is_err(), true, "misaligned")
}
