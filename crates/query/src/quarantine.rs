//! The quarantine and what is kept of a person, for operators: places, reasons and remedies, never a
//! text of anybody's documents. Other programs read these shapes; they only ever gain members.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use domain::{
    Checkpoint, Family, Lane, Parked, Sequence, Surroundings, UserDocument, UserId, remedies,
    waits_behind,
};
use read_model::{Arrived, Inspection, StorageError, Totals};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::admin::{Admin, rfc3339, since};

/// Records on a page when nobody says how many.
const PAGE: usize = 100;
/// The most records on a page; each may have to be read with its body.
pub const PAGE_MAX: usize = 500;
/// The most records that are looked at for a page that wants few of them.
const LOOKED_AT_MAX: usize = 10_000;

/// What to look at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Records behind this sequence.
    #[serde(default)]
    pub after: u64,
    /// At most so many, and at most [`PAGE_MAX`].
    pub limit: Option<usize>,
    /// This user's alone.
    pub user: Option<String>,
    /// Those parked for this reason alone.
    pub reason: Option<String>,
    /// Those in a lane of this kind alone: `user`, `profile` or `quarantine`, or `none`.
    pub lane: Option<String>,
    /// Those whose fault has this text in it alone.
    pub fault: Option<String>,
}

impl Wanted {
    fn takes(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.reason, &entry.reason)
            && is(&self.lane, entry.lane.as_deref().unwrap_or("none"))
            && self.fault.as_deref().is_none_or(|fault| {
                let detail = entry.detail.as_deref();
                detail.is_some_and(|detail| detail.contains(fault))
            })
    }
}

/// A page of the quarantine, in the order of the stream, from one commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page {
    /// Up to where the stream is applied.
    pub applied_sequence: u64,
    /// Records parked in all.
    pub parked_records: u64,
    /// Those by reason.
    pub parked_by_reason: BTreeMap<String, u64>,
    /// The one parked longest.
    pub oldest: Option<Oldest>,
    /// The page.
    pub records: Vec<Entry>,
    /// What to ask for as `after` to go on; null at the end.
    pub next: Option<u64>,
}

/// The record parked longest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Oldest {
    /// Its place in the stream.
    pub sequence: u64,
    /// When the stream got it.
    pub stored: Option<String>,
    /// How long ago that was.
    pub age_seconds: Option<u64>,
}

/// One parked record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the stream.
    pub sequence: u64,
    /// Whose lane it is in; null when its subject names none.
    pub user: Option<String>,
    /// `user`, `profile` or `quarantine`.
    pub lane: Option<String>,
    /// The contract's word.
    pub reason: String,
    /// What is wrong with it, when it could not be decoded.
    pub detail: Option<String>,
    /// The document it is about, when that could be read.
    pub document: Option<Document>,
    /// Length of its body.
    pub bytes: u64,
    /// When the stream got it.
    pub stored: Option<String>,
    /// How long ago that was.
    pub age_seconds: Option<u64>,
}

/// A document and the version that the record would give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// The version.
    pub version: u64,
}

/// One parked record and its ways out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    /// The record.
    #[serde(flatten)]
    pub entry: Entry,
    /// What would let it leave the quarantine; any one is enough, the best first.
    pub heals: Vec<String>,
}

/// What is kept of one person. No text, only whether and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Up to where the stream is applied.
    pub applied_sequence: u64,
    /// The user document: `absent`, `live`, `deleted` or `erased`.
    pub user: String,
    /// Profiles that are there: 0 or 1.
    pub profiles: u64,
    /// Tombstones of profiles.
    pub profile_tombstones: u64,
    /// Identities that map to the user.
    pub identities: u64,
    /// Records parked in the user's lanes.
    pub parked: u64,
    /// Records of the user that wait for an identity.
    pub awaiting: u64,
}

impl Kept {
    /// Whether nothing is left but the final tombstone.
    pub fn is_erased(&self) -> bool {
        let rest = [
            self.profiles,
            self.profile_tombstones,
            self.identities,
            self.parked,
            self.awaiting,
        ];
        self.user == "erased" && rest.iter().all(|count| *count == 0)
    }
}

pub(crate) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/quarantine", get(list))
        .route("/quarantine/{sequence}", get(one))
        .route("/users/{user}", get(person))
}

async fn list(State(admin): State<Arc<Admin>>, Query(wanted): Query<Wanted>) -> Response {
    if wanted
        .user
        .as_deref()
        .is_some_and(|user| UserId::parse(user).is_err())
    {
        return refusal(StatusCode::BAD_REQUEST, "user is no user id");
    }
    looked_up(admin, move |inspection| page(inspection, &wanted).map(Some)).await
}

async fn one(State(admin): State<Arc<Admin>>, Path(sequence): Path<u64>) -> Response {
    looked_up(admin, move |inspection| show(inspection, sequence)).await
}

async fn person(State(admin): State<Arc<Admin>>, Path(user): Path<String>) -> Response {
    let Ok(user) = UserId::parse(&user) else {
        return refusal(StatusCode::BAD_REQUEST, "this is no user id");
    };
    looked_up(admin, move |inspection| kept(inspection, &user).map(Some)).await
}

/// Reads on a thread that may block: an operator's question can touch many rows.
async fn looked_up<T: Serialize + Send + 'static>(
    admin: Arc<Admin>,
    look: impl FnOnce(&Inspection) -> Result<Option<T>, StorageError> + Send + 'static,
) -> Response {
    let look = move || look(&admin.query.reader.inspect());
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(Some(found))) => Json(found).into_response(),
        Ok(Ok(None)) => refusal(StatusCode::NOT_FOUND, "no such record is parked"),
        Ok(Err(error)) => {
            tracing::error!(%error, "the quarantine cannot be read");
            refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the read model cannot be read",
            )
        }
        Err(_panicked) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the look-up failed"),
    }
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// How many records are parked for each reason that there is one for.
pub fn by_reason(totals: &Totals) -> BTreeMap<&'static str, u64> {
    let there = totals.parked_by_reason().filter(|(_, count)| *count != 0);
    there
        .map(|(reason, count)| (reason.as_str(), count))
        .collect()
}

/// The record parked longest.
pub fn oldest(inspection: &Inspection) -> Result<Option<Oldest>, StorageError> {
    Ok(inspection.oldest()?.map(|(sequence, time_ns)| Oldest {
        sequence: sequence.get(),
        stored: time_ns.and_then(rfc3339),
        age_seconds: time_ns.and_then(age_seconds),
    }))
}

/// A page of the quarantine.
pub fn page(inspection: &Inspection, wanted: &Wanted) -> Result<Page, StorageError> {
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let user = wanted
        .user
        .as_deref()
        .and_then(|user| UserId::parse(user).ok());
    let (records, next) = match user {
        None => entries(inspection.parked_after(wanted.after)?, wanted, limit)?,
        Some(user) => of_user(inspection, &user, wanted, limit)?,
    };
    let totals = inspection.totals();
    let reasons = by_reason(&totals).into_iter();
    Ok(Page {
        applied_sequence: applied(inspection),
        parked_records: totals.parked_records,
        parked_by_reason: reasons
            .map(|(reason, count)| (reason.to_owned(), count))
            .collect(),
        oldest: oldest(inspection)?,
        records,
        next,
    })
}

/// Those that are wanted, `limit` of them at most, and the last that was looked at if there are more.
fn entries(
    parked: impl Iterator<Item = Result<Arrived, StorageError>>,
    wanted: &Wanted,
    limit: usize,
) -> Result<(Vec<Entry>, Option<u64>), StorageError> {
    let mut found = Vec::new();
    let mut last = None;
    for (looked_at, arrived) in parked.enumerate() {
        if limit <= found.len() || LOOKED_AT_MAX <= looked_at {
            return Ok((found, last));
        }
        let entry = entry(&arrived?);
        last = Some(entry.sequence);
        if wanted.takes(&entry) {
            found.push(entry);
        }
    }
    Ok((found, None))
}

fn of_user(
    inspection: &Inspection,
    user: &UserId,
    wanted: &Wanted,
    limit: usize,
) -> Result<(Vec<Entry>, Option<u64>), StorageError> {
    let (mut found, mut ends) = (Vec::new(), Vec::new());
    let is_later = |arrived: &Arrived| wanted.after < arrived.parked.sequence().get();
    for family in [Family::User, Family::Profile, Family::Quarantine] {
        let lane = Lane {
            user: user.clone(),
            family,
        };
        let parked = inspection.lane(&lane)?;
        let later = parked.filter(|arrived| arrived.as_ref().map_or(true, is_later));
        let (of_lane, end) = entries(later, wanted, limit)?;
        found.extend(of_lane);
        ends.extend(end);
    }
    found.sort_by_key(|entry| entry.sequence);
    // Behind the first end, other lanes have been looked at and this one has not.
    let mut next = ends.into_iter().min();
    found.retain(|entry| next.is_none_or(|next| entry.sequence <= next));
    if limit < found.len() {
        found.truncate(limit);
        next = found.last().map(|last| last.sequence);
    }
    Ok((found, next))
}

/// One parked record; `None` when none is parked from that place.
pub fn show(inspection: &Inspection, sequence: u64) -> Result<Option<Shown>, StorageError> {
    let Some(sequence) = Sequence::new(sequence) else {
        return Ok(None);
    };
    let Some(arrived) = inspection.parked_at(sequence)? else {
        return Ok(None);
    };
    Ok(Some(Shown {
        entry: entry(&arrived),
        heals: heals(inspection, &arrived.parked)?,
    }))
}

fn heals(inspection: &Inspection, parked: &Parked) -> Result<Vec<String>, StorageError> {
    let (mut user, mut profiles, mut before) = <(_, _, Vec<Sequence>)>::default();
    if let Some(lane) = &parked.lane {
        (user, profiles) = (
            inspection.user(&lane.user)?,
            inspection.profiles(&lane.user)?,
        );
        for other in inspection.lane(lane)? {
            let other = other?.parked;
            if waits_behind(parked, &other) {
                before.push(other.sequence());
            }
            // More say no more, and those that follow are not before it.
            if 2 <= before.len() || parked.sequence() <= other.sequence() {
                break;
            }
        }
    }
    let owner = match &parked.awaits {
        Some(identity) => inspection.owner(identity)?,
        None => None,
    };
    let document = match &owner {
        Some(owner) => inspection.user(owner)?.document,
        None => UserDocument::Absent,
    };
    let around = Surroundings {
        user: &user,
        profiles: &profiles,
        owner: owner.as_ref().map(|owner| (owner, &document)),
        before: &before,
    };
    let remedies = remedies(parked, &around);
    Ok(remedies.iter().map(ToString::to_string).collect())
}

/// What is kept of one person.
pub fn kept(inspection: &Inspection, user: &UserId) -> Result<Kept, StorageError> {
    let left = inspection.left_of(user)?;
    let document = match left.user.document {
        UserDocument::Absent => "absent",
        UserDocument::Live { .. } => "live",
        UserDocument::Deleted { .. } => "deleted",
        UserDocument::Erased => "erased",
    };
    Ok(Kept {
        applied_sequence: applied(inspection),
        user: document.to_owned(),
        profiles: u64::from(left.profiles.live.is_some()),
        profile_tombstones: left.profiles.gone.len().try_into().unwrap_or(u64::MAX),
        identities: left.identities,
        parked: left.parked,
        awaiting: left.awaiting,
    })
}

fn entry(arrived: &Arrived) -> Entry {
    let Arrived { parked, time_ns } = arrived;
    let lane = parked.lane.as_ref();
    let document = parked.document.as_ref().map(|document| Document {
        id: document.id.to_string(),
        version: document.version.get(),
    });
    Entry {
        sequence: parked.sequence().get(),
        user: lane.map(|lane| lane.user.to_string()),
        lane: lane.map(|lane| lane.family.as_str().to_owned()),
        reason: parked.reason.as_str().to_owned(),
        detail: (!parked.detail.is_empty()).then(|| parked.detail.to_string()),
        document,
        bytes: parked.record.payload.len().try_into().unwrap_or(u64::MAX),
        stored: time_ns.and_then(rfc3339),
        age_seconds: time_ns.and_then(age_seconds),
    }
}

fn age_seconds(time_ns: i64) -> Option<u64> {
    since(time_ns).map(|since| since.as_secs())
}

fn applied(inspection: &Inspection) -> u64 {
    inspection.checkpoint().map_or(0, Checkpoint::sequence)
}
