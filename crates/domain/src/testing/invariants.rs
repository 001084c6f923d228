//! What holds of a state after every record.

use std::collections::BTreeMap;

use crate::{
    Family, Lane, MemoryState, ParkReason, Parked, ParkedSummary, Sequence, State, UserDocument,
    UserId, WorkosUserId,
};

type Check = fn(&MemoryState, &[Parked]) -> bool;

/// The first invariant that the state breaks, in words.
pub fn broken_invariant(state: &mut MemoryState) -> Option<&'static str> {
    let parked: Vec<Parked> = state.all_parked().cloned().collect();
    let checks: [(&str, Check); 6] = [
        ("the mapping is that of the live users", |state, _| {
            state.is_consistent()
        }),
        ("rows know what is parked in their lanes", summaries_agree),
        ("rows count the decisions that are parked", decisions_agree),
        (
            "an erased user keeps nothing but the tombstone",
            erased_is_bare,
        ),
        ("one profile is live, and no tombstone is its own", one_live),
        (
            "a decodable record is parked for a document",
            documents_agree,
        ),
    ];
    let broken = checks.into_iter().find(|(_, holds)| !holds(state, &parked));
    if let Some((words, _)) = broken {
        return Some(words);
    }
    (!waiting_agree(state, &parked))
        .then_some("whoever awaits an identity is found by it, in order, and another user has it")
}

fn waiting_agree(state: &mut MemoryState, parked: &[Parked]) -> bool {
    let mut waiting: BTreeMap<&WorkosUserId, Vec<(Sequence, &UserId)>> = BTreeMap::new();
    for one in parked {
        match (&one.awaits, &one.lane) {
            (Some(identity), Some(lane)) => {
                let of_identity = waiting.entry(identity).or_default();
                of_identity.push((one.sequence(), &lane.user));
            }
            (None, _) if one.reason != ParkReason::MappingConflict => {}
            (None | Some(_), _) => return false,
        }
    }
    waiting.into_iter().all(|(identity, mut expected)| {
        expected.sort();
        let Ok(owner) = state.owner(identity);
        let mut after = 0;
        let found = std::iter::from_fn(|| {
            let Ok(next) = state.next_awaiting(identity, after);
            after = next.as_ref()?.0.get();
            next
        });
        let expected_too = expected.iter().map(|(at, user)| (*at, (*user).clone()));
        found.eq(expected_too)
            && owner.is_some_and(|owner| expected.iter().all(|(_, user)| owner != **user))
    })
}

fn summaries_agree(state: &MemoryState, parked: &[Parked]) -> bool {
    let mut counted: BTreeMap<Lane, ParkedSummary> = BTreeMap::new();
    for one in parked {
        if let Some(lane) = one
            .lane
            .clone()
            .filter(|lane| lane.family != Family::Quarantine)
        {
            counted.entry(lane).or_default().put(one);
        }
    }
    let lane = |user: &UserId, family| Lane {
        user: user.clone(),
        family,
    };
    let users = state
        .users()
        .map(|(user, row)| (lane(user, Family::User), &row.parked));
    let profiles = state
        .profiles()
        .map(|(user, row)| (lane(user, Family::Profile), &row.parked));
    let rows: BTreeMap<Lane, &ParkedSummary> = users
        .chain(profiles)
        .filter(|(_, summary)| !summary.is_empty())
        .collect();
    rows.into_iter().eq(counted
        .iter()
        .map(|(lane, summary)| (lane.clone(), summary)))
}

fn decisions_agree(state: &MemoryState, parked: &[Parked]) -> bool {
    let mut counted: BTreeMap<&UserId, u64> = BTreeMap::new();
    let lanes = parked.iter().filter_map(|one| one.lane.as_ref());
    for lane in lanes.filter(|lane| lane.family == Family::Quarantine) {
        let count = counted.entry(&lane.user).or_default();
        *count = count.saturating_add(1);
    }
    let rows = state.users().map(|(user, row)| (user, row.decisions));
    rows.filter(|(_, count)| *count != 0).eq(counted)
}

fn erased_is_bare(state: &MemoryState, parked: &[Parked]) -> bool {
    let erased = state
        .users()
        .filter(|(_, row)| row.document == UserDocument::Erased);
    erased.into_iter().all(|(user, row)| {
        let theirs = |one: &Parked| one.lane.as_ref().is_some_and(|lane| lane.user == *user);
        row.parked.is_empty()
            && row.decisions == 0
            && !state.profiles().any(|(other, _)| other == user)
            && !state.owners().any(|(_, owner)| owner == user)
            && !parked.iter().any(theirs)
    })
}

fn one_live(state: &MemoryState, _: &[Parked]) -> bool {
    state.profiles().all(|(_, row)| {
        let live = row.live.as_ref().map(|live| &live.id);
        row.gone.is_sorted_by(|(a, _), (b, _)| a < b)
            && row.gone.iter().all(|(id, _)| Some(id) != live)
    })
}

fn documents_agree(_: &MemoryState, parked: &[Parked]) -> bool {
    parked.iter().all(|one| {
        let invalid = one.reason == ParkReason::Invalid;
        invalid == one.document.is_none()
            && invalid != one.detail.is_empty()
            && (one.lane.is_some() || invalid)
    })
}
