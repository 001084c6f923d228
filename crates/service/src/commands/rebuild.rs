//! `rebuild`: has a running service build its read model anew, or go back to the one before.

use super::job;
use crate::cli::{Kept, RebuildArgs};
use crate::exit::Failure;
use crate::keeper::{Job, JobKind};

pub(crate) fn run(args: &RebuildArgs) -> Result<(), Failure> {
    let kind = match args.rollback {
        Some(_) => JobKind::Rollback,
        None if args.give_up_last_good => JobKind::GiveUp,
        None => JobKind::Rebuild,
    };
    let job = Job {
        accept_loss: args.accept_loss,
        last_good: args.rollback == Some(Kept::LastGood),
        ..Job::of(kind)
    };
    super::block_on(job::ask(&args.admin, job))
}
