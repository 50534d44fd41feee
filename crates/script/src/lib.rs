//! Lua scripts: the interpreter, the environment that scripts find, and the way from replies to Lua values and back.
//!
//! ```text
//!   body ─ Sha ─▶ Interpreter::compile ─▶ chunk, kept by its digest
//!                                           │ Interpreter::run(keys, arguments)
//!   Host::call ◀─ redis.call(words) ────────┤      every thousand instructions: Meter
//!      └─ Reply ─ convert ─▶ Lua value ────▶│
//!                                           └─▶ Ran::Reply | Ran::Ended (its limits) | Ran::Halted (the host)
//! ```
//!
//! A library of functions is loaded once ([`Interpreter::load_library`]); its functions run as scripts do.
//!
//! Invariants: a script reaches nothing but its arguments and [`Host::call`]; it leaves nothing behind that another run could
//! find, but for what functions of one library share in local variables of its code; its time, memory and reply are bounded by [`Limits`]; the same arguments and the same replies of the host lead to
//! the same calls. No input ends the process.
//!
//! Not here: what a command does, which commands a script may call, where scripts are kept (crate `state`).

mod api;
mod convert;
mod failure;
mod interpreter;
mod library;
mod libs;
mod limits;
mod sandbox;
mod sha;
mod shebang;

pub use interpreter::{Halt, Host, Interpreter, LOAD_INSTRUCTIONS, Ran, Script};
pub use library::{FunctionFlags, FunctionInfo, library_header};
pub use limits::{Ended, Limits};
pub use sha::Sha;
pub use shebang::{Flags, header};
