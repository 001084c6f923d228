//! The process's limit on open files, of which every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as it goes without privileges; gives what it is then.
///
/// The soft limit is 1,024 on most systems, for the sake of programs that use `select`.
pub fn raise() -> u64 {
    let found = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: found.maximum,
        ..found
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => found.maximum,
        Err(_refused) => found.current,
    };
    limit.unwrap_or(u64::MAX)
}

/// Raises the limit, and says so when all places of `connections` cannot be taken at a time.
pub(crate) fn raise_for(connections: usize) {
    let (limit, connections) = (raise(), u64::try_from(connections).unwrap_or(u64::MAX));
    if limit < connections {
        tracing::warn!(
            limit,
            connections,
            "the limit on open files is below the number of connections that may come: raise it (ulimit -n, LimitNOFILE=)"
        );
    }
}
