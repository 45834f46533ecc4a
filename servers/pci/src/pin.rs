//! What a driver may do with its device's interrupt pin.

use libsys::println;
use pci_core::pins::{NoWire, SwitchError};
use tocsin_proto::pci::{Error, PinSet, PinWire};

use crate::claim::Claim;
use crate::machine::Machine;
use crate::messages::Messages;
use crate::wires::{Wires, as_protocol};

/// Where the pin leads. Whoever asks is going to open that line, so the interrupt server hears
/// that it may.
pub fn line(
    machine: &Machine,
    wires: &Wires,
    messages: &Messages,
    claim: &mut Claim,
) -> Result<PinWire, Error> {
    let pin = claim.pin.as_ref().map_err(|error| refusal(*error))?.pin();
    let address = claim.function.address;
    let line = wires.line(&machine.topology, &claim.function).map_err(|why| {
        println!("pci: {pin} of {address} has no wire: {why}");
        match why {
            NoWire::NoPin => Error::NoPin,
            _ => Error::NoWire,
        }
    })?;
    let (line, wiring) = as_protocol(line);
    messages.set_wire(address.id.bits(), line, wiring)?;
    claim.pin_known = true;
    Ok(PinWire { pin: pin.number(), line, wiring })
}

/// Switches the pin.
pub fn set(claim: &mut Claim, set: PinSet) -> Result<(), Error> {
    let Claim { pin, pin_known, msi, config, function, .. } = claim;
    let switch = pin.as_mut().map_err(|error| refusal(*error))?;
    match set {
        PinSet::On if !*pin_known => Err(Error::NoWire),
        PinSet::On => {
            // Slots that are all masked still keep messages on. What the capability refuses is
            // seen by the switch.
            if let Some(msi) = msi {
                let _ = msi.rest(config);
            }
            switch.on(config, function).map_err(refusal)
        }
        PinSet::Off if switch.off(config) => Ok(()),
        PinSet::Off => {
            println!("pci: {} does not let go of its pin", function.address);
            Err(Error::NoPin)
        }
    }
}

fn refusal(error: SwitchError) -> Error {
    match error {
        SwitchError::NoPin | SwitchError::AlwaysOn => Error::NoPin,
        SwitchError::MessagesOn => Error::Exclusive,
    }
}
