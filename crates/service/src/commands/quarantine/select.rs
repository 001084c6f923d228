//! Which parked records a command is about, and how many of which kind there are.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, bail};
use domain::{ParkReason, UserId};
use query::quarantine::{Entry, PAGE_MAX, Wanted};
use serde_json::{Value, json};

use super::Source;
use crate::cli::SelectArgs;

const LANES: [&str; 4] = ["user", "profile", "quarantine", "none"];
/// Groups that are told apart; what is in no group by then is counted together.
const GROUPS_MAX: usize = 1_000;

/// What the flags ask for.
pub(super) fn wanted(args: &SelectArgs) -> anyhow::Result<Wanted> {
    if let Some(user) = &args.user {
        UserId::parse(user).with_context(|| format!("{user:?} is no user id"))?;
    }
    let reasons = ParkReason::ALL.map(ParkReason::as_str);
    check("--parked-for", args.parked_for.as_deref(), &reasons)?;
    check("--lane", args.lane.as_deref(), &LANES)?;
    Ok(Wanted {
        user: args.user.clone(),
        reason: args.parked_for.clone(),
        lane: args.lane.clone(),
        fault: args.fault.clone(),
        ..Wanted::default()
    })
}

fn check(flag: &str, given: Option<&str>, known: &[&str]) -> anyhow::Result<()> {
    match given {
        Some(given) if !known.contains(&given) => {
            bail!("{flag} {given:?}: expected one of {}", known.join(", "))
        }
        Some(_) | None => Ok(()),
    }
}

/// Hands over every record that is wanted, a page at a time.
pub(super) async fn each(
    source: &Source,
    mut wanted: Wanted,
    mut take: impl FnMut(Entry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    wanted.limit = Some(PAGE_MAX);
    loop {
        let page = source.page(&wanted).await?;
        for entry in page.records {
            take(entry)?;
        }
        match page.next {
            Some(next) => wanted.after = next,
            None => return Ok(()),
        }
    }
}

/// How many records there are of each reason, kind of lane and fault.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_kind: BTreeMap<(String, String, String), Group>,
    others: u64,
}

#[derive(Debug)]
struct Group {
    records: u64,
    first: u64,
}

impl Groups {
    pub(super) fn add(&mut self, entry: &Entry) {
        let lane = entry.lane.clone().unwrap_or_else(|| "none".to_owned());
        let fault = entry.detail.clone().unwrap_or_default();
        let kind = (entry.reason.clone(), lane, fault);
        if GROUPS_MAX <= self.by_kind.len() && !self.by_kind.contains_key(&kind) {
            self.others = self.others.saturating_add(1);
            return;
        }
        let first = entry.sequence;
        let group = self.by_kind.entry(kind);
        let group = group.or_insert(Group { records: 0, first });
        group.records = group.records.saturating_add(1);
    }

    /// The largest group first.
    fn sorted(&self) -> Vec<(&(String, String, String), &Group)> {
        let mut groups: Vec<_> = self.by_kind.iter().collect();
        groups.sort_by_key(|(_, group)| (std::cmp::Reverse(group.records), group.first));
        groups
    }

    pub(super) fn table(&self) -> String {
        if self.by_kind.is_empty() {
            return "no such record is parked".to_owned();
        }
        let row = |records: &str, reason: &str, lane: &str, first: &str, fault: &str| {
            format!("{records:>8}  {reason:<16}  {lane:<10}  {first:>10}  {fault}")
        };
        let mut text = row("RECORDS", "REASON", "LANE", "FIRST", "FAULT");
        for ((reason, lane, fault), group) in self.sorted() {
            let (records, first) = (group.records.to_string(), group.first.to_string());
            let row = row(&records, reason, lane, &first, fault);
            let _ = write!(text, "\n{}", row.trim_end());
        }
        if self.others != 0 {
            let _ = write!(text, "\n{:>8}  of other kinds", self.others);
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let groups = self
            .sorted()
            .into_iter()
            .map(|((reason, lane, fault), group)| {
                json!({"reason": reason, "lane": lane, "fault": fault, "records": group.records,
                "first_sequence": group.first})
            });
        json!({"groups": groups.collect::<Vec<_>>(), "others": self.others})
    }
}
