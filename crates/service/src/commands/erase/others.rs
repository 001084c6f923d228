//! The others: whose rows a rebuild gives otherwise when a person's messages are gone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use domain::{Circle, Folds, Lane, UserId};
use futures::TryStreamExt;
use indicatif::ProgressBar;

use super::person::Person;
use crate::producer::OutgoingEvent;
use crate::stored_messages::{Found, Reading, subjects_of};

/// Users whose records are folded, and their identities.
const USERS_MAX: usize = 1000;
const IDENTITIES_MAX: usize = 10_000;
/// Where identities are claimed.
const CLAIMS: &str = "identity.v1.*.user";

/// What an erasure does to others.
pub(super) struct Others {
    /// Whose rows change; `None` when too many users share identities with the person, directly or
    /// through others.
    pub(super) changed: Option<BTreeSet<UserId>>,
    circle: Circle,
    /// The stream's end when this was computed.
    until: u64,
}

impl Others {
    /// Whether it has to be accepted.
    pub(super) fn is_any(&self) -> bool {
        self.changed.as_ref().is_none_or(|users| !users.is_empty())
    }

    /// Computes it for the stream as it is, with these erasures behind it. `circle` has seen the person's
    /// own claims: nobody meets somebody without any.
    pub(super) async fn of(
        reading: Reading<'_>,
        (first, until): (u64, u64),
        (user, person): (&UserId, &Person),
        mut circle: Circle,
        erasures: &[OutgoingEvent],
        bar: &ProgressBar,
    ) -> anyhow::Result<Self> {
        while circle.identities() != 0 && !is_too_large(&circle) {
            let claims = reading.range(CLAIMS, first, until);
            if !see_all(claims, &mut circle, bar).await? {
                break;
            }
        }
        let changed = if is_too_large(&circle) {
            None
        } else if circle.users().len() == 1 {
            Some(BTreeSet::new())
        } else {
            let folds = fold(reading, &circle, until, user, person).await?;
            Some(differing(folds, erasures))
        };
        Ok(Self {
            changed,
            circle,
            until,
        })
    }

    /// Refuses to go on if what was computed is not so any more: the erasures are stored up to `last`, and
    /// what comes later meets the same rows with or without the person's messages.
    pub(super) async fn check_still_so(
        &mut self,
        reading: Reading<'_>,
        user: &UserId,
        last: u64,
    ) -> anyhow::Result<()> {
        let later = reading.range("identity.v1.>", self.until.saturating_add(1), last);
        let mut later = std::pin::pin!(later);
        while let Some(found) = later.try_next().await? {
            let lane = Lane::of_subject(&found.message.subject);
            let other = lane.filter(|lane| lane.user != *user);
            let is_of_circle = other.is_some_and(|lane| self.circle.users().contains(&lane.user));
            let grew = found.with_record(|record| self.circle.see(record));
            if is_of_circle || grew {
                bail!(
                    "users who share an identity with {user} changed meanwhile; the erasures are published, nothing was deleted: run it again"
                );
            }
        }
        Ok(())
    }
}

fn is_too_large(circle: &Circle) -> bool {
    USERS_MAX < circle.users().len() || IDENTITIES_MAX < circle.identities()
}

/// Whether the circle grew.
async fn see_all(
    messages: impl futures::Stream<Item = anyhow::Result<Found>>,
    circle: &mut Circle,
    bar: &ProgressBar,
) -> anyhow::Result<bool> {
    let mut messages = std::pin::pin!(messages);
    let (mut grew, mut seen) = (false, 0_u64);
    while let Some(found) = messages.try_next().await? {
        grew |= found.with_record(|record| circle.see(record));
        seen += 1;
        bar.set_message(format!(
            "{seen} user events looked at for shared identities"
        ));
        if is_too_large(circle) {
            break;
        }
    }
    Ok(grew)
}

/// Folds the records of the circle in the order of the stream, one of each user in memory.
async fn fold(
    reading: Reading<'_>,
    circle: &Circle,
    until: u64,
    user: &UserId,
    person: &Person,
) -> anyhow::Result<Folds> {
    let mut next: BTreeMap<u64, (Found, &UserId)> = BTreeMap::new();
    for whose in circle.users() {
        if let Some(found) = reading.next(&subjects_of(whose.as_str()), 1).await? {
            next.insert(found.sequence.get(), (found, whose));
        }
    }
    let mut folds = Folds::default();
    while let Some((sequence, (found, whose))) = next.pop_first() {
        if until < sequence {
            break;
        }
        let stays = whose != user || person.erasures.contains(&sequence);
        found.with_record(|record| folds.take(record, stays));
        let subjects = subjects_of(whose.as_str());
        if let Some(found) = reading.next(&subjects, sequence.saturating_add(1)).await? {
            next.insert(found.sequence.get(), (found, whose));
        }
    }
    Ok(folds)
}

fn differing(mut folds: Folds, erasures: &[OutgoingEvent]) -> BTreeSet<UserId> {
    for erasure in erasures {
        erasure.with_record(|record| folds.take(record, true));
    }
    folds.differing()
}
