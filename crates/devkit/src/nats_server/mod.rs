//! A nats-server of our own, for `dev` and for tests: found or installed, started, and ended.
//!
//! The server binds to loopback only. It runs in a process group of its own, so that a Ctrl-C in a
//! terminal reaches us alone and we decide when it ends. It ends when its handle is dropped, and also
//! when this process dies without dropping anything: a small shell watches a pipe that only we hold
//! open and kills the server when that pipe closes. (`PR_SET_PDEATHSIG` would need unsafe code, and
//! acts when the *thread* that started the server ends.)

mod install;
mod locate;
mod process;

pub use install::{InstallError, cache_folder};
pub use locate::{LocateError, locate};
pub use process::{NatsServer, Setup, StartError};
