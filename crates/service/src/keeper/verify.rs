//! `verify`: the rows that are served, read from the first to the last, against a fold of the stream up to
//! the same message.

use read_model::{Place, Reader};
use tokio_util::sync::CancellationToken;

use super::build::Goal;
use super::compare::{Comparison, damages_of};
use super::{Job, JobFault, Keeper, Stage};

/// Reads everything that a reader sees, and says what is not as it was written.
pub(super) async fn damages_in(reader: Reader) -> Result<Vec<String>, JobFault> {
    let audit = tokio::task::spawn_blocking(move || damages_of(reader.inspect().audit()));
    Ok(audit.await?)
}

impl Keeper {
    /// Folds beside what `live` shows now, compares, and throws the fold away. What is served goes on.
    pub(super) async fn verify(
        &self,
        job: Job,
        live: &Reader,
        stop: &CancellationToken,
    ) -> Result<Comparison, JobFault> {
        let live = live.pinned();
        let Some(place) = live.checkpoint() else {
            return Ok(Comparison::Impossible("nothing was read yet"));
        };
        if place.applied.is_none() {
            return Ok(Comparison::Equal { users: 0 });
        }
        let model = self.build(job, &Goal::At(place.clone()), stop).await?;
        let held = model.reader().checkpoint();
        let is_of_it = held.is_some_and(|held| held.stream == place.stream);
        let model = if is_of_it {
            self.level(model, place, stop).await?
        } else {
            model
        };
        // The last look at its progress may be older.
        let (held, totals) = (model.reader().checkpoint(), model.reader().totals());
        self.tell(|status| {
            let applied = held.and_then(|held| held.applied);
            status.applied_sequence = applied.map_or(0, |last| last.sequence.get());
            status.read_sequence = status.applied_sequence;
            status.parked_records = totals.parked_records;
        });
        let checking = damages_in(live.clone());
        let damages = self.in_stage(Stage::Checking, checking).await?;
        let compared = Comparison::of(&live, &model.reader(), is_of_it, damages);
        drop(model);
        Place::Verify.discard(&self.folder)?;
        compared.map_err(|error| JobFault::Refused(crate::exit::in_one_line(&error)))
    }
}
