//! `rebuild`: has a running service build its read model anew, or go back to the one before.

use super::job;
use crate::cli::RebuildArgs;
use crate::exit::Failure;
use crate::keeper::{Job, JobKind};

pub(crate) fn run(args: &RebuildArgs) -> Result<(), Failure> {
    let kind = if args.rollback {
        JobKind::Rollback
    } else {
        JobKind::Rebuild
    };
    let job = Job {
        accept_loss: args.accept_loss,
        ..Job::of(kind)
    };
    super::block_on(job::ask(&args.admin.admin, job))
}
