//! Children of children, each holding messages; then a death in the middle.

use alloc::vec::Vec;
use libsys::spawn::{Placement, Spawner};
use libsys::startup::Environment;
use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Rights};

use crate::{granted, ready, told, wait_for_ever};

/// Children that each generation starts.
const CHILDREN: u64 = 3;

/// Starts children, which start children, until `depth` is used up or the budget ends. A
/// leaf takes messages, if it has somebody to ask, and waits; whoever has children waits
/// for a while and dies, and they with it.
pub fn run(env: &'static Startup) -> Result<u64, Error> {
    let depth = told(env, "depth");
    let port = sys::port_create()?.handle();
    if let Ok(interrupt) = granted(env, "interrupt") {
        // The quota is the device's, so the generations share it.
        let _ = crate::greed::take_messages(interrupt, port);
    }
    ready(env, 1 << depth.min(31))?;
    if depth == 0 {
        wait_for_ever();
    }
    let image = env.module("hostile")?;
    let mut children = Vec::new();
    for cpu in 0..CHILDREN {
        let budget = sys::process_info(tocsin_abi::Handle::NONE)?.values;
        let share = (budget[0] - budget[1]) / (CHILDREN + 2);
        let Ok(mut spawner) = Spawner::new(env, image, share) else { break };
        spawner.args("fork");
        let all = Rights::CALL | Rights::DUPLICATE | Rights::TRANSFER;
        let mut good = spawner.value("depth", depth - 1, 0).is_ok();
        let up = granted(env, "up")?;
        good &= spawner.grant("up", up, Rights::SIGNAL | Rights::TRANSFER, 0).is_ok();
        if let Ok(interrupt) = granted(env, "interrupt") {
            good &= spawner.grant("interrupt", interrupt, all, 0).is_ok();
        }
        if let Some(module) = env.find("module:hostile") {
            let values = (module.value, 0);
            let rights = Rights::READ | Rights::TRANSFER;
            good &= spawner.grant_with("module:hostile", module.handle, rights, 0, values).is_ok();
        }
        let place = Placement { priority: 1, cpu: (cpu % u64::from(env.cpus)) as u8 };
        match spawner.start(place) {
            Ok(child) if good => children.push(child),
            _ => break,
        }
    }
    ready(env, 1 << 40)?;
    // Dies while some of its children still start theirs.
    let now = sys::clock_read()?.result;
    let _ = sys::port_wait(port, 0, 1, now + 3_000_000 * depth);
    children.into_iter().for_each(libsys::spawn::Child::leak);
    Ok(0)
}
