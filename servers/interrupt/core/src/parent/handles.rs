//! The kernel's side of a child: it has none.
//!
//! The objects are made, steered and ended by whoever has the message control. Here a handle is
//! only found again that came with the parent's answer.

use super::{Connection, Parent, entries::Link};
use crate::{CpuEvent, EntryIndex, KernelMessages, Pair};
use alloc::rc::Rc;
use core::cell::RefCell;

/// The handles that a [`Parent`]'s answers bring.
pub struct ParentHandles<C: Connection>(Rc<RefCell<Link<C>>>);

impl<C: Connection> Parent<C> {
    /// The kernel's side of the same child.
    pub fn handles(&self) -> ParentHandles<C> {
        ParentHandles(self.link())
    }
}

macro_rules! no_control {
    ($($name:ident($($argument:ident: $ty:ty),*) -> $out:ty;)*) => {$(
        fn $name(&mut self, $($argument: $ty),*) -> Result<$out, C::Error> {
            let _ = ($($argument,)*);
            Err(C::NO_CONTROL)
        }
    )*};
}

impl<C: Connection> KernelMessages for ParentHandles<C> {
    type Handle = C::Handle;
    type Error = C::Error;

    fn create_for(
        &mut self,
        entry: EntryIndex,
        _pair: Pair,
        _cookie: u64,
    ) -> Result<C::Handle, C::Error> {
        self.0.borrow().handle(entry).ok_or(C::NO_CONTROL)
    }

    no_control! {
        create(pair: Pair, cookie: u64) -> C::Handle;
        activate(handle: C::Handle, event: CpuEvent) -> ();
        move_to(handle: C::Handle, event: CpuEvent) -> ();
        settle(handle: C::Handle) -> ();
        deactivate(handle: C::Handle) -> ();
        block(handle: C::Handle) -> ();
        unblock(handle: C::Handle) -> ();
        blocked_events(handle: C::Handle) -> u64;
        signal(handle: C::Handle) -> ();
    }

    /// The object is the parent's to end, and has ended when this is asked.
    fn destroy(&mut self, _handle: C::Handle) -> Result<(), C::Error> {
        Ok(())
    }

    /// Nothing drains here.
    fn vector_drained(&mut self, _event: CpuEvent) -> bool {
        true
    }
}
