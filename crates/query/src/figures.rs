//! What `/metrics` says of rows, progress and keys. All of it is looked up at one moment, and what concerns rows is of one
//! commit: replicas with one `applied_sequence` must have one `digest`.

use domain::{Connection, Outcome, Phase, Progress, Refusal};
use read_model::{Inspection, Totals};

use crate::admin::{Admin, Look, lag_seconds};
use crate::auth::KeysStatus;
use crate::exposition::Exposition;

/// Digits of the digest that a gauge holds exactly.
const DIGEST_DIGITS: usize = 12;

/// Writes everything that is known without counting.
pub(crate) fn write(page: &mut Exposition, admin: &Admin) {
    let look = Look::of(&admin.query);
    let is_ready = admin.unready().is_none();
    page.gauge(
        "profile_projector_ready",
        "1 if requests may be sent here, as /readyz says it",
    )
    .value(u8::from(is_ready));
    progress(page, &look.progress);
    let totals = look.inspection.totals();
    rows(page, &totals);
    records(page, &look.inspection, &totals);
    keys(page, &admin.query.verifier.status());
}

fn progress(page: &mut Exposition, progress: &Progress) {
    page.gauge(
        "profile_projector_phase",
        "1 for the phase that the projector is in",
    )
    .one_of("phase", Phase::WORDS, Some(progress.phase.word()));
    let blocked = match &progress.phase {
        Phase::Blocked(refusal) => Some(refusal.word()),
        Phase::Starting | Phase::CatchingUp { .. } | Phase::Live => None,
    };
    page.gauge(
        "profile_projector_blocked",
        "1 for the reason why nothing is applied",
    )
    .one_of("reason", Refusal::WORDS, blocked);
    let states = Connection::ALL.map(Connection::word);
    page.gauge(
        "profile_projector_connection",
        "1 for what stands between the projector and its stream",
    )
    .one_of("state", states, Some(progress.connection.word()));
    page.gauge(
        "profile_projector_standing_still",
        "1 if nothing moves though messages are there, and neither phase nor connection says why",
    )
    .value(u8::from(progress.standing_still().is_some()));
    page.gauge(
        "profile_projector_applied_sequence",
        "Last sequence whose effect is durable and answered",
    )
    .value(progress.applied());
    page.gauge(
        "profile_projector_read_sequence",
        "Last sequence read and folded, durable or not yet",
    )
    .value(progress.read());
    page.gauge(
        "profile_projector_tail_sequence",
        "Last sequence of the stream, as far as known",
    )
    .value(progress.tail.unwrap_or(0));
    page.gauge(
        "profile_projector_lag_events",
        "Records that can still come before the tail, as far as known",
    )
    .value(progress.lag_events());
    page.gauge(
        "profile_projector_lag_seconds",
        "Age of the oldest message that is not applied, at most; 0 at the tail, NaN while unknown",
    )
    .value(lag_seconds(progress).unwrap_or(f64::NAN));
}

fn rows(page: &mut Exposition, totals: &Totals) {
    page.gauge("profile_projector_users", "Users that are served")
        .value(totals.users);
    page.gauge("profile_projector_profiles", "Profiles that are served")
        .value(totals.profiles);
    let digest = totals.digest.to_string();
    let digest = digest.get(..DIGEST_DIGITS).unwrap_or_default();
    page.gauge(
        "profile_projector_digest",
        "First 48 bits of the digest of all rows: one on every replica at one applied_sequence",
    )
    .value(u64::from_str_radix(digest, 16).unwrap_or(0));
}

fn records(page: &mut Exposition, inspection: &Inspection, totals: &Totals) {
    let mut outcomes = page.counter(
        "profile_projector_outcomes_total",
        "What became of records, since the read model was made",
    );
    for (outcome, times) in totals.outcomes.iter() {
        let (word, reason) = if let Outcome::Parked(reason) = outcome {
            ("parked", reason.as_str())
        } else {
            (outcome.as_str(), "")
        };
        outcomes.with(&[("outcome", word), ("reason", reason)], times);
    }
    let mut parked = page.gauge(
        "profile_projector_parked_records",
        "Records that are parked now, by reason",
    );
    for (reason, count) in totals.parked_by_reason() {
        parked.with(&[("reason", reason.as_str())], count);
    }
    page.gauge(
        "profile_projector_parked_lanes",
        "Documents with parked records",
    )
    .value(totals.parked_lanes);
    // A row that cannot be read is told of where it is needed, not by a gauge.
    let oldest = inspection.oldest().ok().flatten();
    let stored_ns = oldest.and_then(|(_, stored_ns)| stored_ns);
    let stored = u64::try_from(stored_ns.unwrap_or(0)).unwrap_or(0);
    page.gauge(
        "profile_projector_parked_oldest_timestamp_seconds",
        "When the oldest parked record was stored in the stream, since the epoch; 0 for none",
    )
    .value(std::time::Duration::from_nanos(stored).as_secs_f64());
    page.gauge(
        "profile_projector_damaged_rows",
        "Stored rows that were found damaged since the read model was opened",
    )
    .value(inspection.damages().len());
}

fn keys(page: &mut Exposition, sources: &[KeysStatus]) {
    let mut keys = page.gauge(
        "profile_projector_jwks_keys",
        "Signing keys that tokens can be checked with now",
    );
    for status in sources {
        let usable = if status.usable { status.keys } else { 0 };
        keys.with(&[("source", &status.source)], usable);
    }
    let mut ages = page.gauge(
        "profile_projector_jwks_age_seconds",
        "How long ago the signing keys were known to be what their source holds; NaN without keys",
    );
    for status in sources {
        let labels = [("source", status.source.as_str())];
        match status.age_seconds {
            Some(age) => ages.with(&labels, age),
            None => ages.with(&labels, "NaN"),
        };
    }
}
