//! What is parked in a lane, as far as it takes to know whom a change can help.

use crate::{ParkReason, Parked, Sequence, Version, WorkosUserId};

/// One parked record of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkedEntry {
    /// Its place in the stream.
    pub sequence: Sequence,
    /// The version that it would give its document.
    pub version: Version,
    /// Why it waits.
    pub reason: ParkReason,
    /// A hash of the identity that it awaits; 0 when it awaits none.
    pub awaits: u32,
}

impl ParkedEntry {
    fn of(parked: &Parked, version: Version) -> Self {
        Self {
            sequence: parked.sequence(),
            version,
            reason: parked.reason,
            awaits: parked.awaits.as_ref().map_or(0, WorkosUserId::hashed),
        }
    }
}

/// What is parked in a lane, by document. Kept in the lane's row, so that a record for a lane in order
/// costs no look at parked records, and a change looks at none but those that it helps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParkedSummary {
    /// Records that could not be decoded, in sequence order.
    pub undecodable: Vec<Sequence>,
    /// Others, by document id, sorted, each in sequence order; none is empty.
    pub documents: Vec<(Box<str>, Vec<ParkedEntry>)>,
}

/// What a parked record is worth when there is no room for all, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Whatever comes, it is not applied.
    Nothing,
    /// It is of use if what is before it is.
    Patch,
    /// It is applied as soon as there is room.
    State,
}

impl Worth {
    fn of(reason: ParkReason) -> Self {
        match reason {
            ParkReason::Invalid
            | ParkReason::Conflict
            | ParkReason::VersionJump
            | ParkReason::TooManyProfiles => Self::Nothing,
            ParkReason::PatchBase | ParkReason::Behind => Self::Patch,
            ParkReason::MappingConflict | ParkReason::ProfileConflict => Self::State,
        }
    }
}

impl ParkedSummary {
    /// Whether nothing is parked.
    pub fn is_empty(&self) -> bool {
        self.undecodable.is_empty() && self.documents.is_empty()
    }

    /// How many records are parked.
    pub fn total(&self) -> usize {
        let of_documents = self.documents.iter().map(|(_, entries)| entries.len());
        of_documents.fold(self.undecodable.len(), usize::saturating_add)
    }

    /// Whether a patch of `document` at this place must wait.
    pub fn holds_back(&self, document: &str, at: Sequence) -> bool {
        let before = |first: Option<Sequence>| first.is_some_and(|first| first < at);
        let of_document = self.entries(document).first();
        before(self.undecodable.first().copied()) || before(of_document.map(|e| e.sequence))
    }

    /// What is parked of a document, in sequence order.
    pub fn entries(&self, document: &str) -> &[ParkedEntry] {
        let found = self
            .find(document)
            .ok()
            .and_then(|at| self.documents.get(at));
        found.map_or(&[], |(_, entries)| entries)
    }

    /// Which record goes when one more is parked than the lane keeps: the latest of those worth least, but
    /// of states the earliest with a later version beside it. `None` for the new one itself.
    pub(crate) fn least(&self, new: &Parked) -> Option<Sequence> {
        let worth = Worth::of(new.reason);
        for lesser in [Worth::Nothing, Worth::Patch] {
            let found = self.latest(lesser).filter(|_| lesser < worth);
            if found.is_some() {
                return found;
            }
        }
        if worth < Worth::State {
            return None;
        }
        let new_version = |id: &str| {
            let of_new = new.document.as_ref().filter(|document| *document.id == *id);
            of_new.map(|document| document.version)
        };
        let outdated = self.documents.iter().flat_map(|(id, entries)| {
            let waiting = entries.iter().map(|entry| entry.version);
            let newest = waiting.max().max(new_version(id));
            entries
                .iter()
                .filter(move |entry| Some(entry.version) < newest)
        });
        outdated.map(|entry| entry.sequence).min()
    }

    fn latest(&self, worth: Worth) -> Option<Sequence> {
        let undecodable = self.undecodable.last().filter(|_| worth == Worth::Nothing);
        let entries = self.documents.iter().flat_map(|(_, entries)| entries);
        let of_worth = entries.filter(|entry| Worth::of(entry.reason) == worth);
        let latest = of_worth.map(|entry| entry.sequence).max();
        latest.max(undecodable.copied())
    }

    /// Takes a record in, or its new reason.
    pub fn put(&mut self, parked: &Parked) {
        let Some(document) = &parked.document else {
            insert(&mut self.undecodable, parked.sequence(), |known| *known);
            return;
        };
        let at = self.find(&document.id).unwrap_or_else(|at| {
            self.documents.insert(at, (document.id.clone(), Vec::new()));
            at
        });
        if let Some((_, entries)) = self.documents.get_mut(at) {
            let entry = ParkedEntry::of(parked, document.version);
            insert(entries, entry, |known| known.sequence);
        }
    }

    pub(crate) fn remove(&mut self, parked: &Parked) {
        let sequence = parked.sequence();
        let Some(document) = &parked.document else {
            self.undecodable.retain(|known| *known != sequence);
            return;
        };
        let Ok(at) = self.find(&document.id) else {
            return;
        };
        if let Some((_, entries)) = self.documents.get_mut(at) {
            entries.retain(|known| known.sequence != sequence);
            if entries.is_empty() {
                self.documents.remove(at);
            }
        }
    }

    fn find(&self, document: &str) -> Result<usize, usize> {
        self.documents
            .binary_search_by(|(id, _)| (**id).cmp(document))
    }
}

/// Puts an item at its place, instead of the one that is there.
fn insert<T: Copy>(items: &mut Vec<T>, new: T, place: impl Fn(&T) -> Sequence) {
    match items.binary_search_by_key(&place(&new), &place) {
        Ok(at) => items.splice(at..=at, [new]).for_each(drop),
        Err(at) => items.insert(at, new),
    }
}
