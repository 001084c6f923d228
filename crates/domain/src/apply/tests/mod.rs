//! The apply table and healing, row by row, as small stories.

mod bounds;
mod erasure;
mod healing;
mod remedy;
mod rows;

use serde_json::{Value, json};

use super::apply;
use crate::testing::{Draft, Message, broken_invariant, named, profile_patched, profile_state};
use crate::{Gone, MemoryState, Outcome, ProfileId, Sequence, UserDocument, UserId, WorkosUserId};

/// A state with a history, whose next record has the next sequence.
struct Given {
    state: MemoryState,
    last: u64,
}

impl Given {
    fn nothing() -> Self {
        Self {
            state: MemoryState::default(),
            last: 0,
        }
    }

    fn events<const N: usize>(drafts: [Draft; N]) -> Self {
        let mut given = Self::nothing();
        for draft in drafts {
            given.publish(draft);
            assert_eq!(
                broken_invariant(&mut given.state),
                None,
                "after {}",
                given.last
            );
        }
        given
    }

    fn publish(&mut self, message: impl Into<Message>) -> Outcome {
        self.last += 1;
        let record = message.into().at(Sequence::new(self.last).unwrap());
        let Ok(outcome) = record.with_ref(|record| apply(&mut self.state, record));
        outcome
    }

    /// Publishes one more, which has this outcome.
    #[track_caller]
    fn when(mut self, message: impl Into<Message>, outcome: &str) -> Self {
        let found = self.publish(message);
        assert_eq!(
            broken_invariant(&mut self.state),
            None,
            "after {}",
            self.last
        );
        assert_eq!(found.as_str(), outcome, "at {}", self.last);
        self
    }

    /// The same for one that changes nothing but the tally.
    #[track_caller]
    fn when_in_vain(self, message: impl Into<Message>, outcome: &str) -> Self {
        let before = self.state.clone();
        let after = self.when(message, outcome);
        assert!(before.users().eq(after.state.users()));
        assert!(before.profiles().eq(after.state.profiles()));
        assert!(before.owners().eq(after.state.owners()));
        assert!(before.all_parked().eq(after.state.all_parked()));
        after
    }

    /// Who is answered: the profile's user, name and version.
    #[track_caller]
    fn then_answer(self, identity: &str, answer: &str) -> Self {
        assert_eq!(self.answer(identity).as_deref(), Some(answer));
        self
    }

    #[track_caller]
    fn then_no_answer(self, identity: &str) -> Self {
        assert_eq!(self.answer(identity), None);
        self
    }

    fn answer(&self, identity: &str) -> Option<String> {
        let identity = WorkosUserId::parse(identity).unwrap();
        let (user, live) = self.state.profile_of(&identity)?;
        Some(format!(
            "{user} {} v{}",
            live.profile.members().display_name,
            live.version
        ))
    }

    /// Everything that is parked, by sequence: `3 u1.user conflict`.
    #[track_caller]
    fn then_parked<const N: usize>(self, expected: [&str; N]) -> Self {
        let mut parked: Vec<_> = self.state.all_parked().collect();
        parked.sort_by_key(|parked| parked.sequence());
        let words = |parked: &&crate::Parked| {
            let lane = parked.lane.as_ref();
            let lane = lane.map_or("nowhere".into(), ToString::to_string);
            format!("{} {lane} {}", parked.sequence(), parked.reason.as_str())
        };
        assert_eq!(parked.iter().map(words).collect::<Vec<_>>(), expected);
        self
    }

    /// The user documents and then the profile documents that are held, in few words.
    #[track_caller]
    fn then_held<const N: usize>(self, expected: [&str; N]) -> Self {
        let mut held = Vec::new();
        for (user, row) in self.state.users() {
            held.push(match &row.document {
                UserDocument::Absent => continue,
                UserDocument::Live { version, workos_id } => {
                    format!("{user} v{version} {}", workos_id.as_str())
                }
                UserDocument::Deleted { version } => format!("{user} v{version} deleted"),
                UserDocument::Erased => format!("{user} erased"),
            });
        }
        for (user, row) in self.state.profiles() {
            let live = row.live.iter();
            let live = live.map(|live| format!("{user} {} v{} live", live.id, live.version));
            held.extend(live);
            held.extend(row.gone.iter().map(|gone| gone_words(user, gone)));
        }
        assert_eq!(held, expected);
        self
    }

    /// How often an outcome was counted.
    #[track_caller]
    fn then_counted(self, outcome: &str, times: u64) -> Self {
        let found = self
            .state
            .tally()
            .iter()
            .find(|(one, _)| one.as_str() == outcome);
        assert_eq!(found.map(|(_, times)| times), Some(times), "{outcome}");
        self
    }
}

fn gone_words(user: &UserId, gone: &(ProfileId, Gone)) -> String {
    match gone {
        (id, Gone::Deleted(version)) => format!("{user} {id} v{version} deleted"),
        (id, Gone::Erased) => format!("{user} {id} erased"),
    }
}

/// A whole profile whose name is this.
fn profile(user: &str, id: &str, version: u64, name: &str) -> Draft {
    profile_state(user, id, version, &named(name))
}

/// A patch that sets the name.
fn rename(user: &str, id: &str, version: u64, name: &str) -> Draft {
    profile_patched(user, id, version, &json!({"displayName": name}))
}

/// The same event of another type.
fn typed(kind: &str, draft: Draft) -> Draft {
    Draft {
        kind: kind.into(),
        ..draft
    }
}

/// A record that cannot be decoded, in a lane.
fn unreadable(user: &str, family: &str) -> Message {
    Message::bare(&format!("identity.v1.{user}.{family}"), "{")
}

/// A profile's members with one more.
fn with(mut members: Value, name: &str, value: Value) -> Value {
    members[name] = value;
    members
}
