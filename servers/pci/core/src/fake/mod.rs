//! A machine's configuration space, for host tests.
//!
//! [`ConfigModel`] routes by bus numbers as bridges do: what is behind a bridge answers only while the bridge's secondary and
//! subordinate numbers lead there. [`FunctionModel`] has read-only, writable and write-1-to-clear bits, so a BAR can be sized
//! and a status bit cleared as in hardware. The model also watches: [`ConfigModel::sized_while_decoding`] says whether a BAR
//! held all ones while its function answered to it.

mod function;
mod model;

pub use function::FunctionModel;
pub use model::ConfigModel;
