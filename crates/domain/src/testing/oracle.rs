//! Section 4 of the contract a second time, written from its text to be obvious and slow: one list
//! of documents, one list of parked records, the mapping not stored at all, healing by recursion.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be here fails the test"
)]

use crate::{
    Decoded, Event, Family, Gone, Lane, MemoryState, Outcome, PackedProfile, ParkReason, Profile,
    ProfileChange, ProfilePatch, Record, Tally, UserChange, UserDocument, WorkosUserId, decode,
};

/// What a document holds.
#[derive(Debug, Clone, PartialEq)]
enum Held {
    Live(u64, Content),
    Deleted(u64),
    Erased,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    User(WorkosUserId),
    Profile(Profile),
}

/// A document by its lane and id.
type Name = (Lane, String);

#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    record: Record,
    lane: Option<Lane>,
    reason: ParkReason,
    /// Which document, and the version that the record would give it; none if unreadable.
    document: Option<(Name, u64)>,
    awaits: Option<WorkosUserId>,
}

/// What an event wants of its document.
enum Wish {
    State(u64, Content),
    Patch(u64, Box<ProfilePatch>),
    Delete(u64),
    Erase,
}

/// What the table says.
enum Row {
    Settled(Outcome),
    Put(Outcome, Held),
    Park(ParkReason),
}

/// The fold a second time.
pub struct Oracle {
    documents: Vec<(Name, Held)>,
    parked: Vec<Waiting>,
    tally: Tally,
    /// How many records a lane keeps.
    lane_max: usize,
    /// How many profile documents a user has.
    profiles_max: usize,
}

impl Default for Oracle {
    fn default() -> Self {
        Self::bounded(256, 256)
    }
}

/// The same of both implementations, in a form to compare and to print.
#[derive(Debug, PartialEq)]
pub struct Seen {
    documents: Vec<(Name, Held)>,
    parked: Vec<Waiting>,
    tally: Tally,
    answers: Vec<(WorkosUserId, String)>,
}

impl Oracle {
    /// One with other bounds than the contract's: records of a lane, and profiles of a user.
    pub fn bounded(lane_max: usize, profiles_max: usize) -> Self {
        Self {
            documents: Vec::new(),
            parked: Vec::new(),
            tally: Tally::default(),
            lane_max,
            profiles_max,
        }
    }

    /// Applies a record.
    pub fn take(&mut self, record: &Record) -> Outcome {
        let outcome = match record.with_ref(decode) {
            Decoded::UnknownType(lane) if self.is_erased(&lane) => Outcome::Resurrect,
            Decoded::UnknownType(_) => Outcome::UnknownType,
            Decoded::Invalid {
                lane: Some(lane), ..
            } if self.is_erased(&lane) => Outcome::Resurrect,
            Decoded::Invalid { lane, .. } => {
                let reason = ParkReason::Invalid;
                self.park(Waiting {
                    record: record.clone(),
                    lane,
                    reason,
                    document: None,
                    awaits: None,
                })
            }
            Decoded::Event(Event::Dropped { user, sequence }) => {
                let named = |waiting: &Waiting| {
                    waiting.record.sequence == sequence
                        && waiting.lane.as_ref().is_some_and(|lane| lane.user == user)
                };
                match self.parked.iter().position(named) {
                    None => Outcome::DecisionVoid,
                    Some(at) => {
                        let gone = self.parked.remove(at);
                        self.retry(&gone.lane.unwrap());
                        Outcome::Dropped
                    }
                }
            }
            Decoded::Event(event) => self.take_event(record, event),
        };
        self.tally.count(outcome);
        outcome
    }

    fn take_event(&mut self, record: &Record, event: Event) -> Outcome {
        let (name, wish) = wish_of(event);
        match self.row(record, &name, &wish) {
            Row::Settled(outcome) => outcome,
            Row::Put(outcome, held) => {
                self.put(&name, &held, wish.is_patch());
                outcome
            }
            Row::Park(reason) => self.park(Waiting {
                record: record.clone(),
                lane: Some(name.0.clone()),
                reason,
                awaits: wish.awaits(reason),
                document: wish.version().map(|version| (name, version)),
            }),
        }
    }

    /// The table, from its first row that fits.
    fn row(&self, record: &Record, name: &Name, wish: &Wish) -> Row {
        let held = self.held(name);
        if self.is_erased(&name.0) || held == Some(&Held::Erased) {
            return Row::Settled(match wish {
                Wish::Erase => Outcome::Erased,
                Wish::State(..) | Wish::Patch(..) | Wish::Delete(_) => Outcome::Resurrect,
            });
        }
        let Some(version) = wish.version() else {
            return Row::Put(Outcome::Erased, Held::Erased);
        };
        let held_version = match held {
            None | Some(Held::Erased) => 0,
            Some(Held::Live(version, _) | Held::Deleted(version)) => *version,
        };
        let result = match (wish, held) {
            (Wish::State(version, content), _) => Some(Held::Live(*version, content.clone())),
            (Wish::Patch(version, patch), Some(Held::Live(_, Content::Profile(profile)))) => {
                let patched = patch.applied_to(profile.map(|text| text)).map(Into::into);
                Some(Held::Live(*version, Content::Profile(patched)))
            }
            (Wish::Delete(version), _) => Some(Held::Deleted(*version)),
            (Wish::Patch(..) | Wish::Erase, _) => None,
        };
        if version < held_version {
            return Row::Settled(Outcome::Stale);
        }
        if version == held_version && result.as_ref() == held {
            return Row::Settled(Outcome::Duplicate);
        }
        if version > held_version + 1_000_000 {
            return Row::Park(ParkReason::VersionJump);
        }
        let before = |waiting: &Waiting| {
            waiting.record.sequence < record.sequence
                && waiting.lane.as_ref() == Some(&name.0)
                && waiting
                    .document
                    .as_ref()
                    .is_none_or(|(other, _)| other == name)
        };
        if wish.is_patch() && self.parked.iter().any(before) {
            return Row::Park(ParkReason::Behind);
        }
        if version == held_version {
            return Row::Park(ParkReason::Conflict);
        }
        if !wish.is_patch() && held.is_none() && !self.has_room(name) {
            return Row::Park(ParkReason::TooManyProfiles);
        }
        if let Some(reason) = self.in_the_way(name, wish) {
            return Row::Park(reason);
        }
        let next = version == held_version + 1;
        match (wish, result) {
            (Wish::State(..), Some(live)) if next => Row::Put(Outcome::Applied, live),
            (Wish::State(..), Some(live)) => Row::Put(Outcome::VersionGap, live),
            (Wish::Patch(..), Some(live)) if next => Row::Put(Outcome::Applied, live),
            (Wish::Delete(..), Some(gone)) => Row::Put(Outcome::Deleted, gone),
            _ => Row::Park(ParkReason::PatchBase),
        }
    }

    /// Another document that has what this one wants.
    fn in_the_way(&self, name: &Name, wish: &Wish) -> Option<ParkReason> {
        let others_live = self
            .documents
            .iter()
            .filter(|(other, held)| other != name && matches!(held, Held::Live(..)));
        for (other, held) in others_live {
            match (wish, held) {
                (Wish::State(_, Content::User(wanted)), Held::Live(_, Content::User(theirs)))
                    if wanted == theirs =>
                {
                    return Some(ParkReason::MappingConflict);
                }
                (Wish::State(_, Content::Profile(_)), Held::Live(..)) if other.0 == name.0 => {
                    return Some(ParkReason::ProfileConflict);
                }
                _ => {}
            }
        }
        None
    }

    /// Whether one more document may come to its lane.
    fn has_room(&self, name: &Name) -> bool {
        let of_lane = self.documents.iter().filter(|(other, _)| other.0 == name.0);
        name.0.family == Family::User || of_lane.count() < self.profiles_max
    }

    /// Changes a document, and what the contract says follows from it.
    fn put(&mut self, name: &Name, held: &Held, by_patch: bool) {
        let identity = |held: Option<&Held>| match held {
            Some(Held::Live(_, Content::User(identity))) => Some(identity.clone()),
            _ => None,
        };
        let had = identity(self.held(name));
        let freed = had.filter(|had| identity(Some(held)).as_ref() != Some(had));
        if self.held(name).is_some() || self.has_room(name) {
            self.documents.retain(|(other, _)| other != name);
            self.documents.push((name.clone(), held.clone()));
        }
        self.documents.sort_by(|(a, _), (b, _)| a.cmp(b));

        // 1. superseding
        let lane = &name.0;
        match held {
            Held::Erased if lane.family == Family::User => {
                self.documents
                    .retain(|(other, _)| other == name || other.0.user != lane.user);
                let theirs = |other: &Lane| other.user == lane.user;
                self.parked
                    .retain(|waiting| !waiting.lane.as_ref().is_some_and(theirs));
            }
            Held::Erased => {
                self.supersede(name, u64::MAX);
            }
            Held::Live(version, _) | Held::Deleted(version) if !by_patch => {
                let superseded = self.supersede(name, *version);
                self.tally.add(Outcome::Superseded, superseded);
            }
            Held::Live(..) | Held::Deleted(_) => {}
        }
        // 2. the rest of the lane
        self.retry(lane);
        // 3. who waited for the identity
        if let Some(freed) = freed {
            let waiting = self
                .parked
                .iter()
                .filter(|w| w.awaits.as_ref() == Some(&freed));
            let lanes: Vec<Lane> = waiting.filter_map(|w| w.lane.clone()).collect();
            for lane in lanes {
                self.retry(&lane);
            }
        }
    }

    fn supersede(&mut self, name: &Name, version: u64) -> u64 {
        let before = self.parked.len();
        self.parked.retain(|waiting| {
            let of_lane = waiting.lane.as_ref() == Some(&name.0);
            let pointless = match &waiting.document {
                None => true,
                Some((other, theirs)) => {
                    let is_jump = waiting.reason == ParkReason::VersionJump;
                    other == name && (*theirs <= version || is_jump)
                }
            };
            !(of_lane && pointless)
        });
        u64::try_from(before - self.parked.len()).unwrap()
    }

    fn retry(&mut self, lane: &Lane) {
        let of_lane = self.parked.iter().filter(|w| w.lane.as_ref() == Some(lane));
        let snapshot: Vec<Record> = of_lane.map(|w| w.record.clone()).collect();
        for record in snapshot {
            let place = |w: &Waiting| w.record.sequence == record.sequence;
            let Some(at) = self.parked.iter().position(place) else {
                continue;
            };
            let Decoded::Event(event) = record.with_ref(decode) else {
                continue;
            };
            let (name, wish) = wish_of(event);
            match self.row(&record, &name, &wish) {
                Row::Park(reason) => {
                    self.parked[at].reason = reason;
                    self.parked[at].awaits = wish.awaits(reason);
                }
                Row::Settled(outcome) => {
                    self.parked.remove(at);
                    self.tally.count(outcome);
                }
                Row::Put(outcome, held) => {
                    self.parked.remove(at);
                    self.tally.count(outcome);
                    self.put(&name, &held, wish.is_patch());
                }
            }
        }
    }

    /// Whether nothing that is parked could be applied, and every reason is still the right one.
    pub fn is_settled(&self) -> bool {
        self.parked.iter().all(|waiting| {
            let Decoded::Event(event) = waiting.record.with_ref(decode) else {
                return waiting.reason == ParkReason::Invalid;
            };
            let (name, wish) = wish_of(event);
            matches!(
                self.row(&waiting.record, &name, &wish),
                Row::Park(reason) if reason == waiting.reason
                    && wish.awaits(reason) == waiting.awaits
            )
        })
    }

    /// Parks a new record. A full lane gives up the record that is worth least, if that is another.
    fn park(&mut self, new: Waiting) -> Outcome {
        let outcome = Outcome::Parked(new.reason);
        let lane = new.lane.clone();
        let of_lane = self.parked.iter().filter(|w| w.lane == lane);
        if of_lane.clone().count() < self.lane_max {
            self.keep(new);
            return outcome;
        }
        if lane
            .as_ref()
            .is_none_or(|lane| lane.family == Family::Quarantine)
        {
            return Outcome::LaneFull;
        }
        let worth = |w: &Waiting| match w.reason {
            ParkReason::ProfileConflict | ParkReason::MappingConflict => 2,
            ParkReason::PatchBase | ParkReason::Behind => 1,
            ParkReason::Invalid
            | ParkReason::Conflict
            | ParkReason::VersionJump
            | ParkReason::TooManyProfiles => 0,
        };
        let is_outdated = |w: &&Waiting| {
            let (name, version) = w.document.as_ref().unwrap();
            let mut all = self.parked.iter().chain([&new]);
            all.any(|other| {
                other.lane == lane
                    && other
                        .document
                        .as_ref()
                        .is_some_and(|(n, v)| n == name && v > version)
            })
        };
        let lesser = of_lane.clone().filter(|w| worth(w) < worth(&new));
        let gone = match lesser
            .map(|w| (worth(w), std::cmp::Reverse(w.record.sequence)))
            .min()
        {
            Some((_, std::cmp::Reverse(sequence))) => Some(sequence),
            None if worth(&new) < 2 => None,
            None => of_lane.clone().find(is_outdated).map(|w| w.record.sequence),
        };
        let Some(gone) = gone else {
            return Outcome::LaneFull;
        };
        self.parked.retain(|w| w.record.sequence != gone);
        self.tally.count(Outcome::LaneFull);
        self.keep(new);
        self.retry(&lane.unwrap());
        outcome
    }

    fn keep(&mut self, waiting: Waiting) {
        self.parked.push(waiting);
        self.parked.sort_by_key(|waiting| waiting.record.sequence);
    }

    fn held(&self, name: &Name) -> Option<&Held> {
        self.documents
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, held)| held)
    }

    fn is_erased(&self, lane: &Lane) -> bool {
        let user = Lane {
            user: lane.user.clone(),
            family: Family::User,
        };
        self.held(&(user, lane.user.to_string())) == Some(&Held::Erased)
    }

    /// What it holds.
    pub fn seen(&self) -> Seen {
        let mut answers = Vec::new();
        for (_, held) in &self.documents {
            let Held::Live(_, Content::User(identity)) = held else {
                continue;
            };
            for (name, held) in &self.documents {
                let of_user = self.documents.iter().any(|(user, theirs)| {
                    user.0.user == name.0.user
                        && matches!(theirs, Held::Live(_, Content::User(id)) if id == identity)
                });
                if of_user && matches!(held, Held::Live(_, Content::Profile(_))) {
                    answers.push((identity.clone(), format!("{} {}", name.0.user, name.1)));
                }
            }
        }
        answers.sort();
        Seen {
            documents: self.documents.clone(),
            parked: self.parked.clone(),
            tally: self.tally,
            answers,
        }
    }
}

impl Wish {
    fn version(&self) -> Option<u64> {
        match self {
            Self::State(version, _) | Self::Patch(version, _) | Self::Delete(version) => {
                Some(*version)
            }
            Self::Erase => None,
        }
    }

    fn is_patch(&self) -> bool {
        matches!(self, Self::Patch(..))
    }

    fn awaits(&self, reason: ParkReason) -> Option<WorkosUserId> {
        match (self, reason) {
            (Self::State(_, Content::User(id)), ParkReason::MappingConflict) => Some(id.clone()),
            _ => None,
        }
    }
}

fn wish_of(event: Event) -> (Name, Wish) {
    let name = |user, family, id| (Lane { user, family }, id);
    match event {
        Event::User { user, change } => {
            let id = user.to_string();
            let wish = match change {
                UserChange::State { version, workos_id } => {
                    Wish::State(version.get(), Content::User(workos_id))
                }
                UserChange::Deleted { version } => Wish::Delete(version.get()),
                UserChange::Erased => Wish::Erase,
            };
            (name(user, Family::User, id), wish)
        }
        Event::Profile {
            user,
            profile,
            change,
        } => {
            let wish = match change {
                ProfileChange::State { version, profile } => {
                    Wish::State(version.get(), Content::Profile(members(&profile)))
                }
                ProfileChange::Patch { version, patch } => Wish::Patch(version.get(), patch),
                ProfileChange::Deleted { version } => Wish::Delete(version.get()),
                ProfileChange::Erased => Wish::Erase,
            };
            (name(user, Family::Profile, profile.to_string()), wish)
        }
        Event::Dropped { .. } => unreachable!("decisions are taken before"),
    }
}

fn members(profile: &PackedProfile) -> Profile {
    profile.members().map(Into::into)
}

/// The crate's own state, in the oracle's words.
impl From<&MemoryState> for Seen {
    fn from(state: &MemoryState) -> Self {
        let mut documents = Vec::new();
        for (user, row) in state.users() {
            let held = match &row.document {
                UserDocument::Absent => continue,
                UserDocument::Live { version, workos_id } => {
                    Held::Live(version.get(), Content::User(workos_id.clone()))
                }
                UserDocument::Deleted { version } => Held::Deleted(version.get()),
                UserDocument::Erased => Held::Erased,
            };
            let lane = Lane {
                user: user.clone(),
                family: Family::User,
            };
            documents.push(((lane, user.to_string()), held));
        }
        for (user, row) in state.profiles() {
            let lane = Lane {
                user: user.clone(),
                family: Family::Profile,
            };
            if let Some(live) = &row.live {
                let held = Held::Live(live.version.get(), Content::Profile(members(&live.profile)));
                documents.push(((lane.clone(), live.id.to_string()), held));
            }
            for (id, gone) in &row.gone {
                let held = match gone {
                    Gone::Deleted(version) => Held::Deleted(version.get()),
                    Gone::Erased => Held::Erased,
                };
                documents.push(((lane.clone(), id.to_string()), held));
            }
        }
        documents.sort_by(|(a, _), (b, _)| a.cmp(b));
        let waiting = state.all_parked().map(|parked| Waiting {
            record: parked.record.clone(),
            lane: parked.lane.clone(),
            reason: parked.reason,
            document: parked.document.as_ref().map(|document| {
                let lane = parked.lane.clone().unwrap();
                ((lane, document.id.to_string()), document.version.get())
            }),
            awaits: parked.awaits.clone(),
        });
        let mut parked: Vec<Waiting> = waiting.collect();
        parked.sort_by_key(|waiting| waiting.record.sequence);
        let mut answers = Vec::new();
        for (identity, _) in state.owners() {
            if let Some((user, live)) = state.profile_of(identity) {
                answers.push((identity.clone(), format!("{user} {}", live.id)));
            }
        }
        Seen {
            documents,
            parked,
            tally: *state.tally(),
            answers,
        }
    }
}
