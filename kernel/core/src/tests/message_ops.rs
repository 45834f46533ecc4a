//! What may happen to messages, and how often.

use proptest::prelude::*;
use std::vec;

use super::platform::{FIRST_VECTOR, FIRST_WIRE, LAST_VECTOR};

/// Clients, each with a thread and a port.
pub const CLIENTS: usize = 2;

#[derive(Clone, Debug)]
pub enum Op {
    Create,
    Give {
        message: usize,
        client: usize,
    },
    Activate {
        message: usize,
        cpu: u64,
        vector: u64,
        trigger: u64,
    },
    Settle {
        message: usize,
    },
    Deactivate {
        message: usize,
    },
    Block {
        message: usize,
    },
    Unblock {
        message: usize,
    },
    Rate {
        message: usize,
        events: u64,
        window: u64,
    },
    Bind {
        handle: usize,
        key: u64,
    },
    Unbind {
        handle: usize,
    },
    Signal {
        handle: usize,
    },
    Acknowledge {
        handle: usize,
    },
    Event {
        cpu: usize,
        vector: u16,
    },
    /// On one of the vectors that are not free.
    Used {
        which: usize,
    },
    Drain {
        which: usize,
    },
    DrainAny {
        cpu: usize,
        vector: u16,
    },
    /// A move of one that has a vector, to where that may be.
    Move {
        message: usize,
        cpu: u64,
    },
    /// Until it is free, while all CPUs answer.
    DrainAll {
        which: usize,
    },
    Poke {
        cpu: usize,
    },
    Wait {
        client: usize,
        capacity: u64,
    },
    Listen {
        client: usize,
    },
    Close {
        handle: usize,
    },
    Revoke {
        message: usize,
    },
    Forget {
        message: usize,
    },
    Kill {
        client: usize,
    },
    Notices,
    Pass {
        ticks: u64,
    },
}

pub fn op() -> impl Strategy<Value = Op> {
    let (m, h, c, cpu) = (0usize..64, 0usize..64, 0..CLIENTS, 0usize..2);
    let vector = FIRST_VECTOR..=LAST_VECTOR;
    let any_vector = u64::from(FIRST_VECTOR) - 1..=u64::from(LAST_VECTOR) + 1;
    let wire = FIRST_WIRE..=LAST_VECTOR;
    let trigger = prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(2)];
    prop_oneof![
        3 => Just(Op::Create),
        6 => (m.clone(), c.clone()).prop_map(|(message, client)| Op::Give { message, client }),
        8 => (m.clone(), 0u64..3, any_vector, trigger).prop_map(
            |(message, cpu, vector, trigger)| Op::Activate { message, cpu, vector, trigger }
        ),
        6 => (m.clone(), 0u64..2, wire.clone()).prop_map(
            |(message, cpu, vector)| Op::Activate { message, cpu, vector: vector.into(), trigger: 1 }
        ),
        4 => (m.clone(), 0u64..2).prop_map(|(message, cpu)| Op::Move { message, cpu }),
        4 => m.clone().prop_map(|message| Op::Settle { message }),
        2 => m.clone().prop_map(|message| Op::Deactivate { message }),
        4 => m.clone().prop_map(|message| Op::Block { message }),
        4 => m.clone().prop_map(|message| Op::Unblock { message }),
        2 => (m.clone(), 0u64..4, 0u64..500)
            .prop_map(|(message, events, window)| Op::Rate { message, events, window }),
        6 => (h.clone(), 0u64..9).prop_map(|(handle, key)| Op::Bind { handle, key }),
        2 => h.clone().prop_map(|handle| Op::Unbind { handle }),
        3 => h.clone().prop_map(|handle| Op::Signal { handle }),
        6 => h.clone().prop_map(|handle| Op::Acknowledge { handle }),
        3 => (cpu.clone(), vector.clone()).prop_map(|(cpu, vector)| Op::Event { cpu, vector }),
        8 => (cpu.clone(), wire).prop_map(|(cpu, vector)| Op::Event { cpu, vector }),
        24 => (0usize..64).prop_map(|which| Op::Used { which }),
        6 => (0usize..64).prop_map(|which| Op::Drain { which }),
        1 => (cpu.clone(), vector).prop_map(|(cpu, vector)| Op::DrainAny { cpu, vector }),
        1 => (0usize..64).prop_map(|which| Op::DrainAll { which }),
        8 => cpu.prop_map(|cpu| Op::Poke { cpu }),
        5 => (c.clone(), 1u64..5).prop_map(|(client, capacity)| Op::Wait { client, capacity }),
        5 => c.clone().prop_map(|client| Op::Listen { client }),
        2 => h.prop_map(|handle| Op::Close { handle }),
        1 => m.clone().prop_map(|message| Op::Revoke { message }),
        1 => m.prop_map(|message| Op::Forget { message }),
        1 => c.prop_map(|client| Op::Kill { client }),
        4 => Just(Op::Notices),
        4 => (0u64..5000).prop_map(|ticks| Op::Pass { ticks }),
    ]
}
