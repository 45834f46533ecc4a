//! Owned handles: each closes when it is dropped, and has its kind's calls.

use crate::sys;
use tocsin_abi::limits::FOREVER;
use tocsin_abi::message::MessageStatus;
use tocsin_abi::{Error, Handle, Packet, Rights};

/// A handle to anything, closed when dropped.
#[must_use = "dropping it closes the handle"]
#[derive(PartialEq, Eq, Debug)]
pub struct Capability(Handle);

impl Capability {
    /// Takes over a handle that nobody else will close.
    #[inline]
    pub const fn own(handle: Handle) -> Capability {
        Capability(handle)
    }

    /// The handle, still owned here.
    #[inline]
    #[must_use]
    pub const fn handle(&self) -> Handle {
        self.0
    }

    /// The handle, owned by the caller now.
    #[inline]
    #[must_use]
    pub fn leak(self) -> Handle {
        let handle = self.0;
        core::mem::forget(self);
        handle
    }

    /// Another handle to the object with `rights` of this one's.
    ///
    /// # Errors
    /// As `handle_duplicate`.
    pub fn duplicate(&self, rights: Rights) -> Result<Capability, Error> {
        sys::handle_duplicate(self.0, rights, 0).map(|made| Capability(made.handle()))
    }

    /// Kills everything derived from this handle, in every process.
    ///
    /// # Errors
    /// As `handle_revoke`.
    pub fn revoke(&self) -> Result<(), Error> {
        sys::handle_revoke(self.0).map(drop)
    }
}

impl Drop for Capability {
    #[inline]
    fn drop(&mut self) {
        // The handle may be dead already (revoked): then there is nothing to close.
        let _ = sys::handle_close(self.0);
    }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[must_use = "dropping it closes the handle"]
        #[derive(PartialEq, Eq, Debug)]
        pub struct $name(Capability);

        impl $name {
            /// Takes over a handle that nobody else will close.
            #[inline]
            pub const fn own(handle: Handle) -> $name {
                $name(Capability::own(handle))
            }

            /// The handle, still owned here.
            #[inline]
            #[must_use]
            pub const fn handle(&self) -> Handle {
                self.0.handle()
            }

            /// The handle, owned by the caller now.
            #[inline]
            #[must_use]
            pub fn leak(self) -> Handle {
                self.0.leak()
            }

            /// Another handle to the same object with `rights` of this one's.
            ///
            /// # Errors
            /// As `handle_duplicate`.
            pub fn duplicate(&self, rights: Rights) -> Result<$name, Error> {
                self.0.duplicate(rights).map($name)
            }

            /// Kills everything derived from this handle, in every process.
            ///
            /// # Errors
            /// As `handle_revoke`.
            pub fn revoke(&self) -> Result<(), Error> {
                self.0.revoke()
            }
        }

        impl From<Capability> for $name {
            /// Believes that the handle names this kind; the kernel says `WrongType` later
            /// where it does not.
            fn from(capability: Capability) -> $name {
                $name(capability)
            }
        }
    )*};
}

objects! {
    /// A place where packets arrive.
    Port;
    /// A place to call and to be called.
    Endpoint;
    /// Physically contiguous RAM.
    Memory;
    /// A range of device registers.
    Physical;
    /// A range of x86 I/O ports.
    IoPorts;
    /// A one-shot timer.
    Timer;
    /// A process. Dropping the handle does not kill it.
    Process;
    /// A thread. Dropping the handle does not end it.
    Thread;
    /// One interrupt message.
    Message;
}

impl Port {
    /// Makes a port.
    ///
    /// # Errors
    /// As `port_create`.
    pub fn new() -> Result<Port, Error> {
        sys::port_create().map(|made| Port::own(made.handle()))
    }

    /// Waits for one packet, for ever.
    ///
    /// # Errors
    /// As `port_wait`.
    #[inline]
    pub fn wait_one(&self) -> Result<Packet, Error> {
        self.wait_until(FOREVER)
    }

    /// Waits for one packet until `deadline_ns` on the kernel's clock; zero polls.
    ///
    /// # Errors
    /// As `port_wait`; `TimedOut` when nothing came.
    #[inline]
    pub fn wait_until(&self, deadline_ns: u64) -> Result<Packet, Error> {
        let got = sys::port_wait(self.handle(), 0, 1, deadline_ns)?.values;
        Ok(Packet::from_values([got[0], got[1], got[2], got[3]]))
    }

    /// Waits for up to `packets.len()` packets and returns how many came, at least one.
    ///
    /// # Errors
    /// As `port_wait`; `TimedOut` when nothing came, `BadSize` for an empty slice.
    pub fn wait(&self, packets: &mut [Packet], deadline_ns: u64) -> Result<usize, Error> {
        let Some((first, rest)) = packets.split_first_mut() else { return Err(Error::BadSize) };
        let capacity = rest.len().min(tocsin_abi::limits::WAIT_PACKETS - 1) as u64 + 1;
        // The kernel writes at most `capacity - 1` packets: the rest of the slice.
        let buffer = rest.as_mut_ptr().expose_provenance() as u64;
        let got = sys::port_wait(self.handle(), buffer, capacity, deadline_ns)?;
        let values = got.values;
        *first = Packet::from_values([values[0], values[1], values[2], values[3]]);
        Ok(got.result as usize)
    }

    /// Leaves a `Signal` packet with these bits.
    ///
    /// # Errors
    /// As `port_signal`.
    pub fn signal(&self, bits: u64) -> Result<(), Error> {
        sys::port_signal(self.handle(), bits).map(drop)
    }
}

impl Endpoint {
    /// Makes an endpoint.
    ///
    /// # Errors
    /// As `endpoint_create`.
    pub fn new() -> Result<Endpoint, Error> {
        sys::endpoint_create().map(|made| Endpoint::own(made.handle()))
    }

    /// Lets receivers on this endpoint also get the packets of `port`.
    ///
    /// # Errors
    /// As `endpoint_bind`.
    pub fn bind(&self, port: &Port) -> Result<(), Error> {
        sys::endpoint_bind(self.handle(), port.handle()).map(drop)
    }

    /// Another handle to the endpoint, whose calls carry `badge`.
    ///
    /// # Errors
    /// As `handle_duplicate`.
    pub fn mint(&self, rights: Rights, badge: u64) -> Result<Endpoint, Error> {
        let made = sys::handle_duplicate(self.handle(), rights, badge)?;
        Ok(Endpoint::own(made.handle()))
    }
}

impl Memory {
    /// Makes zeroed memory.
    ///
    /// # Errors
    /// As `memory_create`.
    pub fn new(size_bytes: u64) -> Result<Memory, Error> {
        sys::memory_create(size_bytes).map(|made| Memory::own(made.handle()))
    }

    /// Size, and the physical address where the handle may know it (else zero).
    ///
    /// # Errors
    /// As `memory_info`.
    pub fn info(&self) -> Result<(u64, u64), Error> {
        sys::memory_info(self.handle()).map(|got| (got.values[0], got.values[1]))
    }
}

impl Physical {
    /// A part of the range.
    ///
    /// # Errors
    /// As `physical_slice`.
    pub fn slice(&self, offset: u64, size_bytes: u64, rights: Rights) -> Result<Physical, Error> {
        let made = sys::physical_slice(self.handle(), offset, size_bytes, rights)?;
        Ok(Physical::own(made.handle()))
    }

    /// Size, and the physical address where the handle may know it (else zero).
    ///
    /// # Errors
    /// As `memory_info`.
    pub fn info(&self) -> Result<(u64, u64), Error> {
        sys::memory_info(self.handle()).map(|got| (got.values[0], got.values[1]))
    }
}

macro_rules! io_width {
    ($($read:ident $write:ident $ty:ty = $bytes:literal;)*) => {$(
        /// Reads a port; the number is the machine's, not counted from the range's start.
        ///
        /// # Errors
        /// As `ioport_read`.
        pub fn $read(&self, port: u16) -> Result<$ty, Error> {
            sys::ioport_read(self.handle(), port.into(), $bytes).map(|got| got.result as $ty)
        }

        /// Writes a port; the number is the machine's, not counted from the range's start.
        ///
        /// # Errors
        /// As `ioport_write`.
        pub fn $write(&self, port: u16, value: $ty) -> Result<(), Error> {
            sys::ioport_write(self.handle(), port.into(), $bytes, value.into()).map(drop)
        }
    )*};
}

impl IoPorts {
    io_width! {
        read8 write8 u8 = 1;
        read16 write16 u16 = 2;
        read32 write32 u32 = 4;
    }
}

impl Timer {
    /// Makes a timer whose packets go to `port` under `key`.
    ///
    /// # Errors
    /// As `timer_create`.
    pub fn new(port: &Port, key: u64) -> Result<Timer, Error> {
        sys::timer_create(port.handle(), key).map(|made| Timer::own(made.handle()))
    }

    /// Fires once at `deadline_ns` on the kernel's clock.
    ///
    /// # Errors
    /// As `timer_set`.
    pub fn set(&self, deadline_ns: u64) -> Result<(), Error> {
        sys::timer_set(self.handle(), deadline_ns).map(drop)
    }

    /// Stops the timer and takes back a packet that nobody saw.
    ///
    /// # Errors
    /// As `timer_cancel`.
    pub fn cancel(&self) -> Result<(), Error> {
        sys::timer_cancel(self.handle()).map(drop)
    }
}

impl Message {
    /// Sends the message's packets to `port` under `key`; true when one was pending.
    ///
    /// # Errors
    /// As `message_bind`.
    #[inline]
    pub fn bind(&self, port: Handle, key: u64) -> Result<bool, Error> {
        sys::message_bind(self.handle(), port, key).map(|got| got.result == 1)
    }

    /// Undoes [`Message::bind`].
    ///
    /// # Errors
    /// As `message_unbind`.
    pub fn unbind(&self) -> Result<(), Error> {
        sys::message_unbind(self.handle()).map(drop)
    }

    /// Raises the message by software.
    ///
    /// # Errors
    /// As `message_signal`.
    pub fn signal(&self) -> Result<(), Error> {
        sys::message_signal(self.handle()).map(drop)
    }

    /// Pair, state and counters.
    ///
    /// # Errors
    /// As `message_read`.
    pub fn status(&self) -> Result<MessageStatus, Error> {
        let [a, b, c, d, e, _] = sys::message_read(self.handle())?.values;
        Ok(MessageStatus::from_values([a, b, c, d, e]))
    }
}

/// Nanoseconds since the kernel started.
#[must_use]
pub fn now_ns() -> u64 {
    // The call has no errors.
    sys::clock_read().map_or(0, |got| got.result)
}
