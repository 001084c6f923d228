//! What an erasure did, and what it cannot promise.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Context;
use domain::UserId;
use jetstream::StreamInfo;
use query::quarantine::Kept;
use serde::Serialize;

use super::person::Person;
use crate::cli::EraseArgs;
use crate::printable::{self, counted};
use crate::producer::OutgoingEvent;

/// Users that are named in a sentence.
const NAMED_MAX: usize = 50;

/// What was done, and what is left.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    user: String,
    request_id: String,
    dry_run: bool,
    /// Erasures that this run published.
    pub(super) published: Vec<Published>,
    /// Messages that this run deleted, or would delete.
    pub(super) deleted: u64,
    /// Messages of the person that are still in the stream.
    pub(super) left_in_stream: usize,
    /// Documents whose erasure is not in the stream.
    pub(super) unproved: usize,
    /// Erasures among the messages that were found, which carry more than the contract allows, or erase
    /// nothing: they do not count, and are deleted too.
    personal_erasures: u64,
    void_erasures: u64,
    /// Messages that were found whose subjects name no document.
    without_lane: u64,
    /// Others whose rows a rebuild changes; null where they are too many to be computed.
    changed_by_rebuild: Option<Vec<String>>,
    /// What each service keeps.
    pub(super) services: Vec<Left>,
    /// What no run of this command can reach.
    limits: Vec<String>,
}

/// An erasure in the stream.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    pub(super) id: String,
    /// Null for one that would be published.
    pub(super) sequence: Option<u64>,
}

/// What a service keeps of the person.
#[derive(Debug, Serialize)]
pub(super) struct Left {
    pub(super) url: String,
    pub(super) is_erased: bool,
    pub(super) kept: Kept,
}

/// True of every stream and read model.
const LIMITS: [&str; 5] = [
    "mirrors, sourced streams, backups and snapshots of the stream keep the deleted messages: erase there too, or let them expire",
    "a server that encrypts its storage does not overwrite deleted messages; they go when their block is rewritten",
    "the file of each read model can hold old bytes in pages that are free until they are used again: run profile-projector rebuild for each, and again, so that the file kept from before goes too; its backups, and its snapshots in files and object stores, keep theirs",
    "events under other people's subjects, or under subjects that name nobody, were not searched",
    "whatever producers, clients and logs outside keep",
];

impl Report {
    pub(super) fn of(args: &EraseArgs, stream: &StreamInfo) -> Self {
        let replicas = stream.replicas;
        let raft = (1 < replicas).then(|| {
            format!("the stream has {replicas} replicas: their Raft logs keep the deleted messages until they are compacted")
        });
        let limits = LIMITS.iter().map(ToString::to_string);
        Self {
            user: args.user.clone(),
            request_id: args.request_id.clone(),
            dry_run: args.dry_run,
            published: Vec::new(),
            deleted: 0,
            left_in_stream: 0,
            unproved: 0,
            personal_erasures: 0,
            void_erasures: 0,
            without_lane: 0,
            changed_by_rebuild: Some(Vec::new()),
            services: Vec::new(),
            limits: raft.into_iter().chain(limits).collect(),
        }
    }

    /// What was found before anything is done.
    pub(super) fn found(&mut self, person: &Person, changed: Option<&BTreeSet<UserId>>) {
        self.personal_erasures = person.personal_erasures;
        self.void_erasures = person.void_erasures;
        self.without_lane = person.without_lane;
        self.changed_by_rebuild =
            changed.map(|users| users.iter().map(ToString::to_string).collect());
    }

    /// What is asked before anything is done.
    pub(super) fn question(
        &self,
        events: &[OutgoingEvent],
        messages: usize,
        services: &[String],
    ) -> String {
        let user = &self.user;
        let mut text = format!("user {user}:\n");
        let erasures = counted(events.len(), "erasure is", "erasures are");
        let _ = writeln!(text, "  {erasures} published");
        let _ = writeln!(
            text,
            "  {} deleted from the stream, for ever",
            counted(messages, "message is", "messages are")
        );
        let services = if services.is_empty() {
            "no service; name each with --wait".to_owned()
        } else {
            services.join(", ")
        };
        let _ = writeln!(text, "  waits for {services}");
        for line in self.remarks() {
            let _ = writeln!(text, "  {line}");
        }
        let _ = write!(text, "Erase user {user}?");
        text
    }

    /// Whose rows a rebuild changes, as one sentence.
    pub(super) fn changes(&self) -> String {
        let user = &self.user;
        let Some(changed) = &self.changed_by_rebuild else {
            return format!(
                "too many users share identities with {user}, directly or through others: whose rows a rebuild changes cannot be computed"
            );
        };
        let named: Vec<&str> = changed.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = changed.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more (--dry-run --json names all)")
        };
        let named = named.join(", ");
        format!(
            "a rebuild without the messages of {user} changes the rows of {named}{more}, who shared an identity with {user}, directly or through others"
        )
    }

    /// What is remarkable about what was found.
    fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self
            .changed_by_rebuild
            .as_ref()
            .is_none_or(|users| !users.is_empty())
        {
            lines.push(self.changes());
        }
        for (count, what) in [
            (
                self.personal_erasures,
                "say more than that a document is gone: they do not count as erasures, and go too",
            ),
            (
                self.void_erasures,
                "call themselves erasures and erase nothing: they do not count, and go too",
            ),
            (
                self.without_lane,
                "are under subjects that name no document: read models keep them parked until they are rebuilt",
            ),
        ] {
            if count != 0 {
                lines.push(format!("{count} of these messages {what}"));
            }
        }
        lines
    }

    /// The same as a plan.
    pub(super) fn planned(mut self, events: &[OutgoingEvent], messages: usize) -> Self {
        let planned = |event: &OutgoingEvent| Published {
            id: event.id.clone(),
            sequence: None,
        };
        self.published = events.iter().map(planned).collect();
        self.deleted = messages.try_into().unwrap_or(u64::MAX);
        self
    }

    /// Whether nothing is left where this command could look.
    pub(super) fn is_done(&self) -> bool {
        self.left_in_stream == 0
            && self.unproved == 0
            && self.services.iter().all(|service| service.is_erased)
    }

    pub(super) fn tell(&self, json: bool) -> anyhow::Result<()> {
        let text = if json {
            serde_json::to_string(self)?
        } else {
            self.text()
        };
        writeln!(io::stdout(), "{}", printable::text(text.trim_end()))
            .context("nobody reads the output")
    }

    fn text(&self) -> String {
        let user = &self.user;
        let ids: Vec<_> = self.published.iter().map(|event| &*event.id).collect();
        let ids = if ids.is_empty() {
            "nothing, the erasures are there".to_owned()
        } else {
            ids.join(", ")
        };
        let mut text = String::new();
        let messages = counted(self.deleted, "message", "messages");
        if self.dry_run {
            let _ = writeln!(text, "user {user}: would publish {ids}");
            let _ = writeln!(text, "would delete {messages} from the stream");
        } else {
            let _ = writeln!(text, "user {user}: published {ids}");
            let _ = writeln!(
                text,
                "deleted {messages} from the stream; {} are left",
                self.left_in_stream
            );
            if 0 < self.left_in_stream || 0 < self.unproved {
                text.push_str("somebody keeps publishing: stop the producer and run this again\n");
            }
        }
        for line in self.remarks() {
            let _ = writeln!(text, "{line}");
        }
        for Left {
            url,
            is_erased,
            kept,
        } in &self.services
        {
            let state = if *is_erased {
                "the final tombstone is all that is left: no row, no mapping, nothing parked"
                    .to_owned()
            } else {
                format!(
                    "NOT erased: user {}, {} profiles, {} identities, {} parked, {} awaiting",
                    kept.user, kept.profiles, kept.identities, kept.parked, kept.awaiting
                )
            };
            let applied = kept.applied_sequence;
            let _ = writeln!(text, "{url}, applied up to {applied}: {state}");
        }
        if self.services.is_empty() && !self.dry_run {
            text.push_str("no service was asked: name each with --wait to have it proved\n");
        }
        text.push_str("What this cannot reach:\n");
        for limit in &self.limits {
            let _ = writeln!(text, "  - {limit}");
        }
        text
    }
}
