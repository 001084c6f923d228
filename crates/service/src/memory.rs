//! The most memory that the process takes, as a sum of bounds. `deploy/MEMORY.md` has the table, and a test holds it.

use query::{Bound, Limits};

use crate::run::ADMIN_CONNECTIONS;

const MIB: usize = 1024 * 1024;

/// The pages of a read model's file that are kept (`read_model::Options`).
const PAGES_BYTES: usize = 40 * MIB;
/// Records on their way from the broker, header bytes and bodies: eight MiB asked for ahead, and what is handed to the
/// writer. More only where the server takes messages above one MiB (`max_payload`).
const RECORDS_BYTES: usize = 20 * MIB;
/// The filters of sorted runs, by which a look-up knows which to read, up to seven million rows.
const FILTERS_BYTES: usize = 12 * MIB;
/// Tokens that were found good, of one set of keys and of the one that replaces it.
const TOKENS_BYTES: usize = 20 * MIB;
/// The program itself: code, threads, metrics, what the allocator holds back.
const PROGRAM_BYTES: usize = 64 * MIB;

/// Every bound, of a service with these limits and this budget for rows.
pub fn bounds(limits: &Limits, budget: usize) -> Vec<Bound> {
    let bound = |what, flag, bytes| Bound { what, flag, bytes };
    let model = budget
        .saturating_add(PAGES_BYTES)
        .saturating_add(RECORDS_BYTES)
        .saturating_add(FILTERS_BYTES);
    let mut bounds = limits.memory().to_vec();
    bounds.extend([
        bound(
            "connections of operators",
            None,
            operators(limits).memory_bytes_of_connections(),
        ),
        bound("tokens already verified", None, TOKENS_BYTES),
        bound(
            "rows during catch-up, parked bodies included; records; pages of the file",
            Some("--memory-budget"),
            model,
        ),
        bound("the same for a job", Some("--memory-budget"), model),
        bound("the program", None, PROGRAM_BYTES),
    ]);
    bounds
}

/// The limits of the operators' listener.
pub(crate) fn operators(limits: &Limits) -> Limits {
    Limits {
        connections: ADMIN_CONNECTIONS,
        per_address: 0,
        ..limits.clone()
    }
}

/// The sum.
pub fn sum(bounds: &[Bound]) -> usize {
    let bytes = bounds.iter().map(|bound| bound.bytes);
    bytes.fold(0, usize::saturating_add)
}
