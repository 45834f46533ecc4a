//! What a system call can answer besides success.

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a call was refused. Nothing was changed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Error { $($(#[$doc])* $name = $code,)* }

        impl Error {
            /// Every error, in the order of its code.
            pub const ALL: &'static [Error] = &[$(Error::$name,)*];

            /// The error with this code, if there is one.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Error> {
                match code { $($code => Some(Error::$name),)* _ => None }
            }

            /// One line for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Error::$name => $text,)* }
            }
        }
    };
}

errors! {
    /// The call number is not in the table.
    BadSyscall = 1, "no such system call";
    /// The handle is zero, out of range, closed or of an older generation.
    BadHandle = 2, "not a live handle";
    /// The handle names an object of another kind.
    WrongType = 3, "handle names another kind of object";
    /// The handle lacks a right that this call needs.
    MissingRight = 4, "handle lacks a right";
    /// A pointer leaves user space or is not mapped as the call needs it.
    BadAddress = 5, "address is not mapped for this access";
    /// An address, offset or length is not a multiple of what the call asks for.
    Misaligned = 6, "address or length is not aligned";
    /// A length or count is zero or above its limit.
    BadSize = 7, "length or count out of its limits";
    /// An argument has a value that the call does not know.
    BadArgument = 8, "argument has no meaning here";
    /// The process's budget, or the machine's memory, does not cover the call.
    NoMemory = 9, "budget or memory exhausted";
    /// The handle table is full.
    NoHandles = 10, "handle table is full";
    /// The object is bound already.
    AlreadyBound = 11, "already bound";
    /// The object is not bound.
    NotBound = 12, "not bound";
    /// Part of the range is mapped already.
    AlreadyMapped = 13, "range is mapped already";
    /// Nothing, or not exactly this range, is mapped there.
    NotMapped = 14, "range is not mapped";
    /// Somebody else waits there, or the thing is not finished yet.
    Busy = 15, "busy";
    /// The object is in a state that does not allow this.
    BadState = 16, "wrong state for this call";
    /// The other side died, or the object was destroyed, while we waited.
    PeerDied = 17, "the other side is gone";
    /// The deadline passed.
    TimedOut = 18, "deadline passed";
    /// Writable and executable at once is never mapped.
    WriteExecute = 19, "memory can not be writable and executable";
    /// A range lies outside the object.
    OutOfRange = 20, "range lies outside the object";
    /// The vector is outside the device range.
    BadVector = 21, "vector is not for devices";
    /// The CPU does not exist.
    BadCpu = 22, "no such CPU";
    /// The vector belongs to another message, or is still draining.
    VectorInUse = 23, "vector is in use";
    /// The thread has nobody to reply to.
    NoCaller = 24, "nobody waits for this reply";
    /// A duplicate would have more rights, or another badge, than its source allows.
    Widening = 25, "a duplicate may only narrow";
    /// This machine or this build has no such thing.
    NotSupported = 26, "not supported here";
}

impl Error {
    /// The value of the result register for this error.
    #[must_use]
    pub const fn to_register(self) -> u64 {
        (-(self as i64)) as u64
    }

    /// Reads a result register: a value, or an error. An unknown negative value, which
    /// a kernel of this ABI never returns, reads as [`Error::BadSyscall`].
    ///
    /// # Errors
    /// The error that the register holds.
    pub const fn from_register(value: u64) -> Result<u64, Error> {
        let signed = value as i64;
        if signed >= 0 {
            return Ok(value);
        }
        let code = if signed >= -255 { (-signed) as u8 } else { 0 };
        match Error::from_code(code) {
            Some(error) => Err(error),
            None => Err(Error::BadSyscall),
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_register() {
        for &error in Error::ALL {
            assert_eq!(Error::from_register(error.to_register()), Err(error));
            assert_eq!(Error::from_code(error as u8), Some(error));
        }
        assert_eq!(Error::from_register(7), Ok(7));
        assert_eq!(Error::from_register(u64::MAX - 254), Err(Error::BadSyscall));
        assert_eq!(Error::from_register(1 << 63), Err(Error::BadSyscall));
    }
}
