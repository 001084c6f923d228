//! Who we are, for every connection.

use crate::access::Access;
use crate::error::ConnectError;

/// Who we are to the servers. Texts are for people and hold no secrets.
pub trait Login: Send + Sync {
    /// Credentials and TLS, read anew each time, so that files that were replaced are used. Fails when one
    /// cannot be used.
    fn access(&self) -> Result<Access, String>;

    /// Why a server may have refused us, and what to do about it.
    fn why_refused(&self) -> String;

    /// Why no server may answer, and what to look for; `problem` is what was seen.
    fn why_unreachable(&self, problem: &ConnectError) -> String;
}

/// Nobody: for servers that ask for nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoLogin;

impl Login for NoLogin {
    fn access(&self) -> Result<Access, String> {
        Ok(Access::anonymous())
    }

    fn why_refused(&self) -> String {
        "it asks for credentials".to_owned()
    }

    fn why_unreachable(&self, _problem: &ConnectError) -> String {
        "is it running?".to_owned()
    }
}
