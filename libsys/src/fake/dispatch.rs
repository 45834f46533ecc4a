//! Which call does what in the model.

use super::kernel::{FakeMessage, FakeTimer, Model, Object};
use crate::sys::Values;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use tocsin_abi::message::{MessageState, MessageStatus};
use tocsin_abi::{Error, Handle, Packet, PacketKind, Rights, Syscall};

impl Model {
    pub(super) fn dispatch(&mut self, call: Syscall, a: [u64; 6]) -> Result<Values, Error> {
        let zero = Values { result: 0, values: [0; 6] };
        let made = |handle: Handle| Ok(Values { result: handle.0.into(), ..zero });
        match call {
            Syscall::KernelNop | Syscall::ThreadYield => Ok(zero),
            Syscall::ClockRead => Ok(Values { result: self.now, ..zero }),
            Syscall::PortCreate => {
                self.ports.push(VecDeque::new());
                let object = Object::Port(self.ports.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::PortWait => self.port_wait(a),
            Syscall::IpcReceive => self.receive(),
            Syscall::IpcReply => self.note_reply(a[0], [a[1], a[2], a[3], a[4]]).map(|()| zero),
            Syscall::IpcReplyReceive => {
                self.note_reply(a[1], [a[2], a[3], a[4], a[5]])?;
                self.receive()
            }
            Syscall::PortSignal => {
                let port = self.port(a[0], Rights::SIGNAL)?;
                let kind = PacketKind::Signal as u32;
                self.post(port, Packet { key: 0, count: 1, kind, first_ticks: 0, value: a[1] });
                Ok(zero)
            }
            Syscall::HandleDuplicate => self.duplicate(a).and_then(made),
            Syscall::HandleClose => self.close(a[0]).map(|()| zero),
            Syscall::HandleInfo => {
                let grant = self.find(a[0], Rights::empty())?;
                Ok(Values { values: [grant.rights.bits().into(), grant.badge, 0, 0, 0, 0], ..zero })
            }
            Syscall::TimerCreate => {
                let port = self.port(a[0], Rights::BIND)?;
                self.timers.push(FakeTimer { port, key: a[1], deadline: None });
                let object = Object::Timer(self.timers.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::TimerSet => {
                let timer = self.timer(a[0])?;
                self.timers[timer].deadline = Some(a[1]);
                Ok(zero)
            }
            Syscall::TimerCancel => {
                let timer = self.timer(a[0])?;
                self.timers[timer].deadline = None;
                Ok(zero)
            }
            Syscall::MemoryCreate => {
                let words = (a[0] as usize).next_multiple_of(4096) / 8;
                // Mappings are numbers, so the memory stays for the life of the process.
                self.memories.push(Box::leak(alloc::vec![0; words].into_boxed_slice()));
                let object = Object::Memory(self.memories.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::MemoryInfo => {
                let (_, size) = self.memory(a[0])?;
                Ok(Values { values: [size, 0, 0, 0, 0, 0], ..zero })
            }
            Syscall::MessageCreate => {
                self.messages.push(FakeMessage {
                    address: a[1],
                    data: a[2] as u32,
                    state: MessageState::Reserved,
                    port: None,
                    pending: 0,
                    delivered: 0,
                    coalesced: 0,
                    blocked: 0,
                });
                let object = Object::Message(self.messages.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::MessageActivate => self.set_state(a[0], MessageState::Active).map(|()| zero),
            Syscall::MessageDeactivate => {
                self.set_state(a[0], MessageState::Reserved).map(|()| zero)
            }
            Syscall::MessageBlock => self.set_state(a[0], MessageState::Blocked).map(|()| zero),
            Syscall::MessageUnblock => self.set_state(a[0], MessageState::Active).map(|()| zero),
            Syscall::MessageBind => self.bind(a).map(|result| Values { result, ..zero }),
            Syscall::MessageUnbind => self.unbind(a[0]).map(|()| zero),
            Syscall::MessageSignal => {
                let message = self.message(a[0], Rights::SIGNAL)?;
                self.signal(message);
                Ok(zero)
            }
            Syscall::MessageRead => {
                let message = &self.messages[self.message(a[0], Rights::READ)?];
                let status = MessageStatus {
                    address: message.address,
                    data: message.data,
                    state: message.state,
                    cpu: 0,
                    vector: 0,
                    delivered: message.delivered,
                    coalesced: message.coalesced,
                    blocked: message.blocked,
                };
                let [a, b, c, d, e] = status.to_values();
                Ok(Values { values: [a, b, c, d, e, 0], ..zero })
            }
            _ => Err(Error::NotSupported),
        }
    }
}
