//! `[scenario.only.NAME]` tables: what is different on one machine, or on one architecture.

use super::config::{OneOrMany, Scenario};
use super::input::Input;
use crate::arch::Arch;
use crate::build::Profile;
use crate::machine::Loader;
use serde::Deserialize;

/// Values that take the place of the scenario's own. What is absent stays.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Only {
    loader: Option<OneOrMany<Loader>>,
    smp: Option<OneOrMany<u32>>,
    profile: Option<OneOrMany<Profile>>,
    memory: Option<u32>,
    manifest: Option<String>,
    cmdline: Option<String>,
    qemu: Option<String>,
    timeout_s: Option<u64>,
    expect: Option<Vec<String>>,
    require: Option<Vec<String>>,
    forbid: Option<Vec<String>>,
    input: Option<Vec<Input>>,
    min_tests: Option<usize>,
}

impl Scenario {
    /// The scenario as it is on `machine`: what is said for its architecture, and over that what is
    /// said for the machine.
    pub fn on(&self, machine: &str, arch: Arch) -> Self {
        let mut scenario = self.clone();
        for name in [&arch.to_string(), machine] {
            if let Some(only) = self.only.get(name) {
                scenario.replace(only.clone());
            }
        }
        scenario
    }

    fn replace(&mut self, only: Only) {
        fn put<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        put(&mut self.loader, only.loader);
        put(&mut self.smp, only.smp);
        put(&mut self.profile, only.profile);
        put(&mut self.memory, only.memory);
        put(&mut self.manifest, only.manifest);
        put(&mut self.cmdline, only.cmdline);
        put(&mut self.qemu, only.qemu);
        put(&mut self.timeout_s, only.timeout_s);
        put(&mut self.expect, only.expect);
        put(&mut self.require, only.require);
        put(&mut self.forbid, only.forbid);
        put(&mut self.input, only.input);
        put(&mut self.min_tests, only.min_tests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_stronger_than_its_architecture() {
        let scenario: Scenario = toml::from_str(
            "name = 's'
            about = ''
            timeout_s = 1
            expect = ['a']
            forbid = ['b']
            only.aarch64 = { timeout_s = 2, expect = ['c'], memory = 64 }
            only.virt = { expect = [] }",
        )
        .expect("good");
        let told = |machine, arch| {
            let on = scenario.on(machine, arch);
            (on.timeout_s, on.expect, on.forbid, on.memory)
        };
        let list = |text: &str| vec![text.to_string()];
        assert_eq!(told("q35", Arch::X86_64), (1, list("a"), list("b"), 128));
        assert_eq!(told("versal", Arch::Aarch64), (2, list("c"), list("b"), 64));
        assert_eq!(told("virt", Arch::Aarch64), (2, vec![], list("b"), 64));
    }
}
