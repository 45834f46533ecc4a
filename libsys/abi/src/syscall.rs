//! The table of system calls. Everything about a call is derived from its row here.
//!
//! To add a call: add a row, give the kernel's dispatcher an arm (the compiler asks for
//! it), and run `cargo xtask syscalls` to renew the reference page.

use crate::error::Error;

/// What the table says about one call; the reference page is printed from this.
#[derive(Clone, Copy, Debug)]
pub struct SyscallInfo {
    /// Number in `rax`.
    pub number: u64,
    /// Name, noun first.
    pub name: &'static str,
    /// Arguments: name and type.
    pub arguments: &'static [(&'static str, &'static str)],
    /// First result, then values 0 to 5.
    pub results: &'static [&'static str],
    /// Errors of this call beyond `BadHandle`, `WrongType` and `MissingRight`, which
    /// every call with a handle has.
    pub errors: &'static [Error],
    /// The doc comment.
    pub doc: &'static str,
}

macro_rules! syscalls {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $number:literal, $name:ident($($arg:ident: $ty:ident),*)
            -> [$($result:literal),*] ! [$($error:ident),*];
    )*) => {
        /// The number of a system call.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u64)]
        pub enum Syscall { $($(#[doc = $doc])* $variant = $number,)* }

        impl Syscall {
            /// The call with this number.
            #[inline(always)]
            #[must_use]
            pub const fn from_number(number: u64) -> Option<Syscall> {
                match number { $($number => Some(Syscall::$variant),)* _ => None }
            }

            /// Name of the call, for traces.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Syscall::$variant => stringify!($name),)* }
            }
        }

        /// The table, in the order of the numbers.
        pub const SYSCALLS: &[SyscallInfo] = &[$(SyscallInfo {
            number: $number,
            name: stringify!($name),
            arguments: &[$((stringify!($arg), stringify!($ty))),*],
            results: &[$($result),*],
            errors: &[$(Error::$error),*],
            doc: concat!($($doc, "\n"),*),
        },)*];

        /// Calls `$callback!` with every row as `Variant name(arg: Type, ...);`.
        /// Types are `Handle`, `Rights`, `Tag` and `u64`; the user stubs come from here.
        #[macro_export]
        macro_rules! for_each_syscall {
            ($callback:ident) => {
                $callback! { $($(#[doc = $doc])* $variant $name($($arg: $ty),*);)* }
            };
        }
    };
}

syscalls! {
    /// Does nothing. The cost of entering and leaving the kernel.
    KernelNop = 0, kernel_nop() -> ["0"] ! [];
    /// Lets other threads of the same priority run first.
    ThreadYield = 1, thread_yield() -> ["0"] ! [];
    /// Time since the kernel started, in nanoseconds.
    ClockRead = 2, clock_read() -> ["nanoseconds"] ! [];
    /// Calls an endpoint and waits for the reply. `tag` says how many words and handles
    /// go along; words from the fifth and the handles are in the caller's IPC buffer.
    /// The reply comes back the same way. Handles sent are copied: the receiver's are
    /// derived from the sender's.
    IpcCall = 3, ipc_call(endpoint: Handle, tag: Tag, word0: u64, word1: u64, word2: u64, word3: u64)
        -> ["0", "zero", "tag", "word0", "word1", "word2", "word3"]
        ! [BadArgument, NoMemory, NoHandles, PeerDied];
    /// Waits for a call on an endpoint, or for a packet on the port bound to it. The
    /// caller, if any, waits for `ipc_reply` from this thread; receiving again without
    /// a reply lets it fail with `PeerDied`.
    IpcReceive = 4, ipc_receive(endpoint: Handle)
        -> ["0: message, 1: packet", "badge, or key", "tag, or kind << 32 | count", "word0, or first_ticks", "word1, or value", "word2", "word3"]
        ! [PeerDied];
    /// Replies to this thread's caller.
    IpcReply = 5, ipc_reply(tag: Tag, word0: u64, word1: u64, word2: u64, word3: u64) -> ["0"]
        ! [BadArgument, NoCaller, NoMemory, NoHandles];
    /// `ipc_reply` and `ipc_receive` in one. When nobody waits for the reply it is
    /// dropped and the thread receives. Where the reply itself is refused, the thread
    /// does not receive.
    IpcReplyReceive = 6, ipc_reply_receive(endpoint: Handle, tag: Tag, word0: u64, word1: u64, word2: u64, word3: u64)
        -> ["as ipc_receive"] ! [BadArgument, NoMemory, NoHandles, PeerDied];
    /// Waits for packets on a port until `deadline_ns` (on the clock of `clock_read`;
    /// zero polls, `u64::MAX` waits for ever). The first packet comes in values 0 to 3,
    /// up to `capacity - 1` more are written to `buffer`. Takes at most 64.
    PortWait = 7, port_wait(port: Handle, buffer: u64, capacity: u64, deadline_ns: u64)
        -> ["number of packets", "key", "kind << 32 | count", "first_ticks", "value"]
        ! [BadAddress, Misaligned, BadSize, Busy, TimedOut, PeerDied];
    /// Leaves a packet of kind `Signal` on a port: `value` collects the union of the
    /// bits (not none), `key` is zero.
    PortSignal = 8, port_signal(port: Handle, bits: u64) -> ["0"] ! [BadArgument];

    /// Makes a handle with the same or fewer rights. `badge` must be zero except where
    /// an endpoint handle without a badge has the right `MINT`.
    HandleDuplicate = 10, handle_duplicate(handle: Handle, rights: Rights, badge: u64) -> ["handle"]
        ! [Widening, NoHandles, NoMemory];
    /// Closes a handle. What was derived from it becomes derived from its parent. An
    /// object whose last handle closes is destroyed.
    HandleClose = 11, handle_close(handle: Handle) -> ["0"] ! [];
    /// Kills every handle derived from this one, in every process, with the mappings
    /// made through them. Long revocations are done in bounded steps.
    HandleRevoke = 12, handle_revoke(handle: Handle) -> ["0"] ! [];
    /// What a handle names.
    HandleInfo = 13, handle_info(handle: Handle) -> ["kind", "rights", "badge"] ! [];

    /// Makes a process with an empty address space and `budget_bytes` of kernel memory,
    /// taken from the caller's budget. It dies when the caller dies.
    ProcessCreate = 16, process_create(budget_bytes: u64) -> ["handle"] ! [BadSize, NoMemory, NoHandles];
    /// Gives a process a handle of the caller's, with fewer rights or a badge as in
    /// `handle_duplicate`. Returns the number the handle has over there.
    ProcessGrant = 17, process_grant(process: Handle, handle: Handle, rights: Rights, badge: u64)
        -> ["handle in the process"] ! [Widening, NoHandles, NoMemory, BadState];
    /// Asks for a packet of kind `Death` when the process dies (now, if it has). The binding
    /// belongs to the process: when its last handle closes, an unread packet goes.
    ProcessBind = 18, process_bind(process: Handle, port: Handle, key: u64) -> ["0"] ! [AlreadyBound, NoMemory];
    /// Kills a process and what it created. Its handles are closed in bounded steps
    /// after this call returns; the death packet comes when that is done.
    ProcessKill = 19, process_kill(process: Handle) -> ["0"] ! [BadState];
    /// Ends the calling process.
    ProcessExit = 20, process_exit(code: u64) -> [] ! [];
    /// Budget and state. Handle zero is the caller.
    ProcessInfo = 21, process_info(process: Handle) -> ["0: runs, 1: dead", "budget_bytes", "used_bytes", "exit code", "handles"] ! [];
    /// Makes a thread, which does not run yet. `placement` is `priority | cpu << 8`;
    /// the priority can not exceed the caller's own. A page of memory for its IPC
    /// buffer is mapped at `ipc_buffer`. It starts at `entry` with the stack pointer
    /// `stack` and `argument` in the first argument register.
    ThreadCreate = 22, thread_create(process: Handle, entry: u64, stack: u64, argument: u64, placement: u64, ipc_buffer: u64)
        -> ["handle"] ! [BadArgument, BadCpu, BadAddress, Misaligned, AlreadyMapped, NoMemory, NoHandles, BadState];
    /// Lets a new thread run.
    ThreadStart = 23, thread_start(thread: Handle) -> ["0"] ! [BadState];
    /// Ends a thread. A process whose last thread ends dies.
    ThreadKill = 24, thread_kill(thread: Handle) -> ["0"] ! [BadState];

    /// Makes a memory object: zeroed, physically contiguous, rounded up to a power of
    /// two pages, charged to the caller.
    MemoryCreate = 32, memory_create(size_bytes: u64) -> ["handle"] ! [BadSize, NoMemory, NoHandles];
    /// Size of a memory object or physical range, and its physical address when the
    /// handle has the right `ADDRESS` (else zero).
    MemoryInfo = 33, memory_info(memory: Handle) -> ["0", "size_bytes", "address"] ! [];
    /// Maps a part of a memory object or physical range into a process (zero is the
    /// caller) with `protection` (bits of `Rights`: READ, WRITE, EXECUTE). The handle
    /// must have those rights; WRITE with EXECUTE is refused. Physical ranges are mapped
    /// uncached. At most 4 MiB at once (`limits::MAX_MEMORY_BYTES`). The mapping goes when the handle goes.
    MemoryMap = 34, memory_map(process: Handle, memory: Handle, address: u64, offset: u64, size_bytes: u64, protection: Rights)
        -> ["0"] ! [BadAddress, Misaligned, BadSize, OutOfRange, WriteExecute, AlreadyMapped, NoMemory, BadArgument, BadState];
    /// Undoes one `memory_map` as a whole.
    MemoryUnmap = 35, memory_unmap(process: Handle, address: u64) -> ["0"] ! [NotMapped];
    /// Makes a handle for a part of a physical range.
    PhysicalSlice = 36, physical_slice(physical: Handle, offset: u64, size_bytes: u64, rights: Rights) -> ["handle"]
        ! [Misaligned, BadSize, OutOfRange, Widening, NoMemory, NoHandles];
    /// Makes a handle for a part of a range of I/O ports.
    IoPortsSlice = 37, ioports_slice(range: Handle, first: u64, count: u64, rights: Rights) -> ["handle"]
        ! [BadSize, OutOfRange, Widening, NoMemory, NoHandles];
    /// Reads an I/O port; `width_bytes` is 1, 2 or 4.
    IoPortRead = 38, ioport_read(range: Handle, port: u64, width_bytes: u64) -> ["value"] ! [BadSize, OutOfRange];
    /// Writes an I/O port; `width_bytes` is 1, 2 or 4.
    IoPortWrite = 39, ioport_write(range: Handle, port: u64, width_bytes: u64, value: u64) -> ["0"] ! [BadSize, OutOfRange];

    /// Makes an endpoint.
    EndpointCreate = 48, endpoint_create() -> ["handle"] ! [NoMemory, NoHandles];
    /// Lets receivers on this endpoint also get the packets of a port.
    EndpointBind = 49, endpoint_bind(endpoint: Handle, port: Handle) -> ["0"] ! [AlreadyBound];
    /// Makes a port.
    PortCreate = 50, port_create() -> ["handle"] ! [NoMemory, NoHandles];
    /// Makes a timer that sends its packets to a port under a key.
    TimerCreate = 51, timer_create(port: Handle, key: u64) -> ["handle"] ! [NoMemory, NoHandles];
    /// Sets a timer to fire once at `deadline_ns`, on the clock of `clock_read`; in the
    /// past it fires at once. Setting it again moves the deadline.
    TimerSet = 52, timer_set(timer: Handle, deadline_ns: u64) -> ["0"] ! [];
    /// Stops a timer and takes back its packet if nobody has seen it.
    TimerCancel = 53, timer_cancel(timer: Handle) -> ["0"] ! [];

    /// Reserves a message object with its address/data pair. `cookie` is the key of the
    /// packets about it on the control's port.
    MessageCreate = 64, message_create(control: Handle, address: u64, data: u64, cookie: u64) -> ["handle"]
        ! [BadArgument, NoMemory, NoHandles];
    /// Gives a message the vector of a CPU. An active message accepts the old one too,
    /// until `message_settle`. On aarch64 vectors are INTIDs, which all CPUs share: an
    /// active message that gets its own INTID again moves to `cpu` with it. `trigger` is 0
    /// for edge, 1 for level (`Trigger`): a level event is held back by the interrupt
    /// controller until `message_acknowledge`. x86 has no level vectors (`NotSupported`),
    /// and on aarch64 only SPIs and PPIs can be level (`BadArgument`). A move does not change
    /// the trigger, and a level message keeps its vector (`BadArgument`). PPIs (16 to 31 but
    /// the kernel's timer) are each CPU's own: the kernel turns one on with its message and
    /// off after it, and it does not move (`BadArgument`).
    MessageActivate = 65, message_activate(message: Handle, cpu: u64, vector: u64, trigger: u64) -> ["0"]
        ! [BadCpu, BadVector, BadArgument, NotSupported, VectorInUse, BadState];
    /// Ends a move: the older vector goes into quarantine.
    MessageSettle = 66, message_settle(message: Handle) -> ["0"] ! [BadState];
    /// Takes every vector from a message; they go into quarantine. Events that still
    /// come are counted as blocked.
    MessageDeactivate = 67, message_deactivate(message: Handle) -> ["0"] ! [BadState];
    /// Stops delivery; events are counted.
    MessageBlock = 68, message_block(message: Handle) -> ["0"] ! [BadState];
    /// Resumes delivery. A level event that came meanwhile comes again, if the device still
    /// asks for it.
    MessageUnblock = 69, message_unblock(message: Handle) -> ["0"] ! [BadState];
    /// Sends a message's packets to a port under a key. Says whether an event was
    /// pending; its packet is on the port then. A level event that an earlier owner has
    /// seen but not acknowledged comes again, if the device still asks for it.
    MessageBind = 70, message_bind(message: Handle, port: Handle, key: u64) -> ["1: was pending"] ! [AlreadyBound];
    /// Undoes `message_bind`; a packet that nobody has seen goes back to pending.
    MessageUnbind = 71, message_unbind(message: Handle) -> ["0"] ! [NotBound];
    /// Raises a message by software: exactly as if its event had come.
    MessageSignal = 72, message_signal(message: Handle) -> ["0"] ! [];
    /// Pair, state and counters (see `MessageStatus`).
    MessageRead = 73, message_read(message: Handle)
        -> ["0", "address", "data | state << 32 | cpu << 40 | vector << 48", "delivered", "coalesced", "blocked"] ! [];
    /// Sets the rate budget: more than `events` in `window_ns` send one `Storm` packet
    /// to the control's port. Zero events mean no budget.
    MessageRate = 74, message_rate(message: Handle, events: u64, window_ns: u64) -> ["0"] ! [BadArgument];
    /// Names the port for `Orphaned` and `Storm` packets.
    ControlBind = 75, control_bind(control: Handle, port: Handle) -> ["0"] ! [AlreadyBound];
    /// The vector space: number of CPUs, first and last device vector, what the interrupt
    /// fabric calls CPU `cpu` (x86: local APIC id; aarch64: the affinity as in
    /// GICR_TYPER 63:32), and whether each CPU has vectors of its own (0) or all share one
    /// space (1). Between first and last there may be numbers that no device can have.
    /// PPIs, below the first, are not counted.
    ControlInfo = 76, control_info(control: Handle, cpu: u64)
        -> ["0", "cpus", "first vector", "last vector", "hardware id", "0: per CPU, 1: shared"] ! [BadCpu];
    /// Ends the quarantine of a vector, once the CPU (where CPUs share vectors: every CPU)
    /// has taken every event that was in flight when this was first asked; `Busy` until then.
    VectorDrain = 77, vector_drain(control: Handle, cpu: u64, vector: u64) -> ["0"] ! [BadCpu, BadVector, BadState, Busy];
    /// Says that the device of a level message has been served: the interrupt controller
    /// may raise it again, and does at once if the device still asks for it. `BadState` when
    /// nothing is held: it was acknowledged before, or what came was an edge or a
    /// `message_signal`.
    MessageAcknowledge = 78, message_acknowledge(message: Handle) -> ["0"] ! [BadState];
    /// Where a message's packets go, for the inspector: two numbers that tell ports and the
    /// processes that made them apart while they live, and the key.
    MessageBinding = 79, message_binding(message: Handle) -> ["0", "port", "process", "key"] ! [NotBound];

    /// Adds text to the kernel's log, at most 256 bytes.
    DebugWrite = 80, debug_write(log: Handle, text: u64, size_bytes: u64) -> ["0"] ! [BadAddress, BadSize];
    /// Takes the log over: the kernel stops writing it to the serial port and sends a
    /// `Log` packet to the port when there is text.
    DebugBind = 81, debug_bind(log: Handle, port: Handle, key: u64) -> ["0"] ! [AlreadyBound];
    /// Takes text out of the log.
    DebugRead = 82, debug_read(log: Handle, buffer: u64, size_bytes: u64) -> ["number of bytes"] ! [BadAddress, BadSize];
    /// Counts for tests and the inspector: free bytes of RAM, live messages, live
    /// processes, bytes of a message object and its two handles.
    DebugStats = 83, debug_stats(log: Handle) -> ["0", "free_bytes", "messages", "processes", "bytes per message"] ! [];
    /// Ends the machine's run: powers it off, or ends the emulator. `code` zero means
    /// success, anything else failure. Returns only where nothing takes the order.
    MachineEnd = 84, machine_end(machine: Handle, code: u64) -> ["0"] ! [];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_ordered() {
        for pair in SYSCALLS.windows(2) {
            assert!(pair[0].number < pair[1].number, "{}", pair[1].name);
        }
    }

    #[test]
    fn every_row_is_documented_and_fits_the_registers() {
        for row in SYSCALLS {
            assert!(!row.doc.is_empty() && row.arguments.len() <= 6 && row.results.len() <= 7);
            let call = Syscall::from_number(row.number).expect("in the table");
            assert_eq!(call.name(), row.name);
        }
        assert_eq!(Syscall::from_number(9), None);
        assert_eq!(Syscall::from_number(u64::MAX), None);
    }
}
