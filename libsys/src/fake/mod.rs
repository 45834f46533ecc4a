//! A model of the kernel for tests on the host.

pub(crate) mod kernel;
pub(crate) mod machine;
