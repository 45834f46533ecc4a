//! Waiting for a UART, with an end.

/// Time, as whoever owns the registers has it.
pub trait Clock {
    /// Time in nanoseconds.
    fn now_ns(&mut self) -> u64;
}

/// Whether bytes go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UartState {
    /// They do.
    Works,
    /// Nothing answers there.
    Absent,
    /// It stopped taking bytes; it is tried again once for every line.
    Stuck,
}

/// Waits until `ready`, at most `limit_ns`, and says whether it is; `state` says it as well.
/// The clock is asked only when there is a wait, and a UART that was stuck gets one look, not
/// another wait.
pub(crate) fn wait<R: Clock>(
    registers: &mut R,
    state: &mut UartState,
    limit_ns: u64,
    ready: impl Fn(&mut R) -> bool,
) -> bool {
    let mut deadline = None;
    loop {
        if ready(registers) {
            *state = UartState::Works;
            return true;
        }
        let now = registers.now_ns();
        let deadline = *deadline.get_or_insert(now.saturating_add(limit_ns));
        if now >= deadline || *state == UartState::Stuck {
            *state = UartState::Stuck;
            return false;
        }
    }
}
