//! Which subjects a stream takes, held against those of the event contract.

/// Every event's subject.
const EVENTS: &str = "identity.v1.>";
/// The subjects of the documents' events.
pub(super) const DOCUMENTS: &[&str] = &["identity.v1.*.user", "identity.v1.*.profile"];
/// The subject of operators' decisions.
pub(super) const DECISIONS: &[&str] = &["identity.v1.*.quarantine"];

/// Those of `wanted` that none of a stream's subjects takes whole.
pub(super) fn missing(taken: &[&str], wanted: &[&str]) -> Vec<String> {
    let is_missing = |wanted: &&&str| !taken.iter().any(|taken| covers(taken, wanted));
    let missing = wanted.iter().filter(is_missing);
    missing.map(ToString::to_string).collect()
}

/// Those of a stream's subjects that also take what is no event.
pub(super) fn foreign(taken: &[&str]) -> Vec<String> {
    let foreign = taken.iter().filter(|taken| !covers(EVENTS, taken));
    foreign.map(ToString::to_string).collect()
}

/// Whether `wide` matches every subject that `narrow` matches.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_matches_whole() {
        for (wide, narrow, is_covered) in [
            (">", "identity.v1.*.user", true),
            ("identity.v1.>", "identity.v1.*.user", true),
            ("identity.*.*.user", "identity.v1.*.user", true),
            ("identity.v1.*.user", "identity.v1.*.user", true),
            ("identity.v1.u1.user", "identity.v1.*.user", false),
            ("identity.v1.*", "identity.v1.*.user", false),
            ("identity.v1.*.user.>", "identity.v1.*.user", false),
            ("identity.v2.>", "identity.v1.*.user", false),
            ("identity.v1.*.*", "identity.v1.>", false),
            ("identity.v1.>", "identity.v1.>", true),
            ("identity.v1.>", "identity.>", false),
            ("identity.v1.>", "identity.v1", false),
        ] {
            assert_eq!(covers(wide, narrow), is_covered, "{wide} over {narrow}");
        }
    }
}
