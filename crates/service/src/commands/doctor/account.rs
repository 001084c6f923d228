//! How near an account is to its limits.

use projector::{Finding, Severity};
use serde_json::Value;

/// What an account holds, what limits it, and what comes of the limit.
const LIMITS: [(&str, &str, &str); 4] = [
    (
        "storage",
        "max_storage",
        "at the limit nothing can be published",
    ),
    (
        "memory",
        "max_memory",
        "at the limit no consumer can be made in memory: the service cannot attach",
    ),
    (
        "streams",
        "max_streams",
        "at the limit no stream can be made, and no store of snapshots",
    ),
    (
        "consumers",
        "max_consumers",
        "at the limit the service cannot attach, nor a rebuild beside it",
    ),
];

/// Whether nine tenths of a limit are used. One that is not above 0 is none.
pub(super) fn is_near(used: i64, limit: i64) -> bool {
    0 < limit && limit - limit / 10 <= used
}

/// What the account holds.
pub(super) fn holds(info: &Value) -> String {
    let number = |member| info.get(member).and_then(Value::as_i64).unwrap_or(0);
    format!(
        "{} streams, {} consumers, {} bytes stored",
        number("streams"),
        number("consumers"),
        number("storage")
    )
}

/// Judges what `$JS.API.INFO` answered, by tiers if the account has any.
pub(super) fn judge(info: &Value) -> Vec<Finding> {
    let tiers = info.get("tiers").and_then(Value::as_object);
    let tiers = tiers.into_iter().flatten();
    let tiers = tiers.map(|(name, of)| (format!(" of tier {name}"), of));
    let all = std::iter::once((String::new(), info)).chain(tiers);
    all.flat_map(|(tier, of)| judge_limits(&tier, of)).collect()
}

fn judge_limits(tier: &str, of: &Value) -> Vec<Finding> {
    let number = |of: &Value, member| of.get(member).and_then(Value::as_i64).unwrap_or(0);
    let find = |(held, limit, why)| {
        let used = number(of, held);
        let most = number(of.get("limits")?, limit);
        is_near(used, most).then(|| {
            Finding::new(
                Severity::Warning,
                "account",
                format!("{used} of {most} {held}{tier} are used"),
                why,
                format!("raise {limit} of the account, or remove what nobody needs"),
            )
        })
    };
    LIMITS.into_iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_found_from_nine_tenths_on() {
        let limits =
            json!({"max_storage": 1000, "max_memory": -1, "max_streams": 1, "max_consumers": 20});
        for (info, expected) in [
            (
                json!({"storage": 899, "memory": 9, "limits": limits}),
                &[][..],
            ),
            (
                json!({"storage": 900, "limits": limits}),
                &["900 of 1000 storage are used"],
            ),
            (
                json!({"streams": 1, "consumers": 18, "limits": limits}),
                &["1 of 1 streams are used", "18 of 20 consumers are used"],
            ),
            (
                json!({"limits": {}, "tiers": {"R3": {"storage": 990, "limits": limits}}}),
                &["990 of 1000 storage of tier R3 are used"],
            ),
            (json!(7), &[]),
        ] {
            let found: Vec<String> = judge(&info).into_iter().map(|found| found.what).collect();
            assert_eq!(found, expected, "{info}");
        }
    }
}
