//! Servers below this one: what they may ask for, and what `init` says of them.

use init_control::{Join, SetSubsystem, SubsystemGone};
use interrupt_core::{BackEnd, ClientId};
use libsys::ipc::Request;
use libsys::object::Endpoint;
use libsys::sys;
use tocsin_abi::Rights;
use tocsin_proto::badge;
use tocsin_proto::interrupt::{DomainRow, Error, OpenDevice, Request as Asked};

use crate::answer;
use crate::reply::Reply;
use crate::serve::Interrupts;

/// What a child may do with the endpoint of a device.
pub const ENDPOINT_RIGHTS: Rights =
    Rights::CALL.union(Rights::DUPLICATE).union(Rights::TRANSFER).union(Rights::REVOKE);

impl<B: BackEnd> Interrupts<B> {
    /// Answers a child as the subsystem that it is.
    #[cold]
    pub fn child(
        &mut self,
        subsystem: u16,
        request: Request,
        words: &[u64],
        reply: &mut Reply,
    ) -> Result<(), Error> {
        match Asked::decode(request.label, words, request.handles)? {
            Asked::OpenDevice(ask) => self.open_device(subsystem, ask, reply),
            Asked::Info(_) => {
                let own = self.core.subsystem(subsystem).map_err(answer::error)?;
                let mut info = self.information();
                // What this subsystem can have at most, as far as anybody can.
                let free = own.quota.saturating_sub(own.held).min(info.entries.free);
                info.entries = DomainRow { total: own.quota, free };
                reply.ok(&info);
                Ok(())
            }
            _ => Err(Error::NotAClient),
        }
    }

    /// An endpoint on which the child is a device's driver. This server keeps its own of it, so
    /// that it can be taken back.
    fn open_device(
        &mut self,
        subsystem: u16,
        ask: OpenDevice,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let client = ClientId::from_bits(ask.client).ok_or(Error::NotYours)?;
        let badge = badge::of_client(ask.client).ok_or(Error::NotYours)?;
        self.core.speaks_for(subsystem, client).map_err(answer::error)?;
        if !self.lent.contains_key(&client) {
            let made = sys::handle_duplicate(self.endpoint, ENDPOINT_RIGHTS, badge);
            let made = made.map_err(|_| Error::NoMemory)?;
            self.lent.insert(client, Endpoint::own(made.handle()));
        }
        let lent = self.lent.get(&client).ok_or(Error::NoMemory)?;
        reply.lend(lent.handle(), ENDPOINT_RIGHTS);
        Ok(())
    }

    /// A device is nobody's: whoever spoke for it does so no more.
    pub fn take_back(&mut self, client: ClientId) {
        if let Some(endpoint) = self.lent.remove(&client) {
            // Its own handle, with the right to do so.
            let _ = endpoint.revoke();
        }
    }

    /// Does what `init` says of a subsystem; `None` for a label that is about something else.
    pub fn subsystem(&mut self, label: u32, words: &[u64]) -> Option<Result<(), Error>> {
        let malformed = Error::Malformed;
        match label {
            SetSubsystem::LABEL => {
                let Some(set) = SetSubsystem::decode(words) else { return Some(Err(malformed)) };
                let set = self.core.set_subsystem(set.subsystem, set.messages);
                Some(set.map_err(answer::error))
            }
            Join::LABEL => {
                let join = Join::decode(words);
                let client = join.and_then(|join| ClientId::from_bits(join.client));
                let (Some(join), Some(client)) = (join, client) else {
                    return Some(Err(malformed));
                };
                Some(self.core.join(join.subsystem, client).map_err(answer::error))
            }
            SubsystemGone::LABEL => {
                let Some(gone) = SubsystemGone::decode(words) else { return Some(Err(malformed)) };
                let mut members = alloc::vec::Vec::new();
                self.core.subsystem_gone(gone.subsystem, |client| members.push(client));
                for client in members {
                    // Its lines end too, whoever has a copy of their messages by now.
                    self.client_gone(client);
                    self.take_back(client);
                }
                Some(Ok(()))
            }
            _ => None,
        }
    }
}
