//! A driver for each device that the manifest names and the machine has.

use alloc::format;

use init_control::{Join, Release, SYSTEM_BADGE, SetOwner, SetQuota};
use libsys::ipc::{self, AskError};
use libsys::object::{Capability, Endpoint};
use libsys::{println, sys};
use tocsin_abi::{Handle, Rights};
use tocsin_manifest::{Driver, Manifest};
use tocsin_proto::pci::{Claim, Error};
use tocsin_proto::{ProgramName, badge};

use crate::fatal::{Context, Fatal};
use crate::grants::{Claimed, Grants};

/// What a driver may do with the endpoint of an interrupt server that `pci` does not know.
const BELOW_RIGHTS: Rights =
    Rights::CALL.union(Rights::DUPLICATE).union(Rights::TRANSFER).union(Rights::REVOKE);

/// The two servers that a driver's device is claimed from.
pub struct Devices<'a> {
    grants: &'a Grants<'a>,
    manifest: &'a Manifest,
    pci: Handle,
    interrupt: Option<Endpoint>,
}

impl<'a> Devices<'a> {
    /// Finds the servers. Without a PCI server there are no drivers.
    pub fn new(grants: &'a Grants<'a>, manifest: &'a Manifest) -> Result<Self, Fatal> {
        let pci = grants.endpoint("pci").ok_or_else(|| {
            Fatal::new("the manifest has drivers, and no program that receives on `pci`")
        })?;
        let interrupt = match grants.endpoint("interrupt") {
            Some(endpoint) => {
                let made = sys::handle_duplicate(endpoint, Rights::CALL, SYSTEM_BADGE);
                Some(Endpoint::own(made.context("endpoint `interrupt`")?.handle()))
            }
            None => None,
        };
        Ok(Self { grants, manifest, pci, interrupt })
    }

    /// Claims the driver's device. `None`, and a line, when the machine has none.
    pub fn claim(&self, driver: &Driver) -> Result<Option<Claimed>, Fatal> {
        let wanted = driver.device;
        let request = Claim {
            vendor: wanted.vendor,
            device: wanted.device,
            nth: wanted.nth.into(),
            dma_quota: u64::from(driver.dma_kib) * 1024,
        };
        let name = &driver.program.name;
        let (reply, mut handles) = match ipc::ask_with(self.pci, &request, &[]) {
            Ok(reply) => reply,
            Err(AskError::Refused(Error::NoSuchDevice)) => {
                println!(
                    "init: no device {:04x}:{:04x} number {} in this machine, {name} not started",
                    wanted.vendor, wanted.device, wanted.nth
                );
                return Ok(None);
            }
            Err(error) => return Err(Fatal(format!("{name}: claiming its device: {error}"))),
        };
        // In this order by the protocol; a claim without both does not decode.
        let interrupt = handles.pop().map(Capability::leak);
        let pci = handles.pop().map(Capability::leak);
        let (Some(pci), Some(interrupt)) = (pci, interrupt) else {
            return Err(Fatal(format!("{name}: claiming its device brought no endpoints")));
        };
        let mut claimed = Claimed {
            requester: reply.requester,
            pci: Endpoint::own(pci),
            interrupt: Endpoint::own(interrupt),
            subsystem: None,
        };
        self.set_owner(driver, &claimed)?;
        self.set_quota(driver, &claimed)?;
        if let Some(server) = &driver.interrupt {
            self.put_below(server, &mut claimed).context(name)?;
        }
        Ok(Some(claimed))
    }

    /// The driver asks another interrupt server than the machine's: the device is of that one's
    /// subsystem, and the driver's endpoint leads there.
    fn put_below(&self, server: &str, claimed: &mut Claimed) -> Result<(), Fatal> {
        let mut servers = self.manifest.servers.iter().enumerate();
        let found = servers.find(|(_, program)| program.name == server);
        let ends = found.and_then(|(number, it)| Some((number, it.parent()?, it.receives()?)));
        // The manifest was checked for it.
        let (number, parent, own) = ends.ok_or(Fatal::new("is below no interrupt server"))?;
        let subsystem = u16::try_from(number).map_err(Fatal::new)?;
        let join = Join { subsystem, client: claimed.requester.into() };
        self.grants.tell_server(parent, Join::LABEL, &join.words())?;
        let below = self.grants.endpoint(own).ok_or(Fatal::new("its server has no endpoint"))?;
        let badge = badge::of_device(claimed.requester);
        let made = sys::handle_duplicate(below, BELOW_RIGHTS, badge).context(own)?;
        claimed.interrupt = Endpoint::own(made.handle());
        claimed.subsystem = Some(number);
        Ok(())
    }

    /// For the inspector: whose the device is now.
    fn set_owner(&self, driver: &Driver, claimed: &Claimed) -> Result<(), Fatal> {
        let name = &driver.program.name;
        // A manifest allows no name that does not fit.
        let (Some(interrupt), Some(fits)) = (&self.interrupt, ProgramName::new(name)) else {
            return Ok(());
        };
        let kind = Some((driver.device.vendor, driver.device.device));
        let owner = SetOwner { client: claimed.requester.into(), kind, name: fits };
        let what = format!("{name}: saying that it is its device's driver");
        let reply = ipc::call(interrupt.handle(), SetOwner::LABEL, &owner.words(), &[]);
        match reply.context(&what)?.label {
            0 => Ok(()),
            code => Err(Fatal(format!("{what}: refused with {code}"))),
        }
    }

    fn set_quota(&self, driver: &Driver, claimed: &Claimed) -> Result<(), Fatal> {
        let Some(interrupt) = &self.interrupt else { return Ok(()) };
        let quota = SetQuota { client: claimed.requester.into(), messages: driver.quota };
        let what = format!("{}: its message quota", driver.program.name);
        let reply = ipc::call(interrupt.handle(), SetQuota::LABEL, &quota.words(), &[]);
        match reply.context(&what)?.label {
            0 => Ok(()),
            code => Err(Fatal(format!("{what}: refused with {code}"))),
        }
    }

    /// Tells the PCI server that the device's driver is gone.
    pub fn release(&self, claimed: Claimed) {
        let release = Release { requester: claimed.requester };
        let reply = ipc::call(self.pci, Release::LABEL, &release.words(), &[]);
        if !reply.is_ok_and(|reply| reply.label == 0) {
            println!("init: device {:04x} could not be released", release.requester);
        }
        if let Some(number) = claimed.subsystem {
            // The machine's server has ended what the device held, by way of `pci`. The endpoint
            // is not `pci`'s, so it is taken back here.
            let _ = claimed.interrupt.revoke();
            self.grants.tell_ended_above(number);
        }
    }
}
