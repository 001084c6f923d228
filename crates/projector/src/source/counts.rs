//! How many records stand on each subject: what tells a document's last event from one that was published
//! again or came out of order.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::json;

use super::End;
use super::attach::{EVERYTHING, unreadable};
use super::link::Link;
use crate::chunk::OnSubject;
use crate::config::Config;

/// How many records are on each subject. Takes 16 bytes for one with more than one record.
pub(crate) struct Counts {
    by_hash: HashMap<u64, u64>,
    /// The tail before they were counted.
    tail: u64,
}

/// A page of the stream's subjects. The server gives 100,000 at a time.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    total: u64,
    state: State,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    subjects: Option<HashMap<String, u64>>,
}

impl Counts {
    /// Asks the stream, whose tail was at `tail` by now, page by page.
    pub(super) async fn ask(link: &impl Link, config: &Config, tail: u64) -> Result<Self, End> {
        let subject = format!("STREAM.INFO.{}", config.stream);
        let (mut by_hash, mut offset) = (HashMap::new(), 0_u64);
        loop {
            let request = json!({"subjects_filter": EVERYTHING, "offset": offset});
            let page = link.request::<Page>(subject.clone(), &request).await;
            let page = page.map_err(|fault| unreadable(link, config, fault))?;
            let subjects = page.state.subjects.unwrap_or_default();
            let length = u64::try_from(subjects.len()).unwrap_or(u64::MAX);
            let several = subjects.into_iter().filter(|(_, records)| 1 < *records);
            by_hash.extend(several.map(|(subject, records)| (hash_of(&subject), records)));
            offset = offset.saturating_add(length);
            if length == 0 || page.total <= offset {
                return Ok(Self { by_hash, tail });
            }
        }
    }

    /// How many records are on a subject whose last one is at `sequence`. One behind the tail of then may
    /// have been counted or not.
    pub(super) fn of(&self, subject: &str, sequence: u64) -> OnSubject {
        let counted = self.by_hash.get(&hash_of(subject)).copied().unwrap_or(1);
        let since = sequence.saturating_sub(self.tail);
        OnSubject {
            least: counted,
            most: counted.saturating_add(since),
        }
    }
}

fn hash_of(subject: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    hasher.finish()
}
