//! How near an account is to its limits.

use projector::{Finding, Severity};
use serde_json::Value;

/// What an account holds, what limits it, and what comes of the limit.
const LIMITS: [(&str, &str, &str); 3] = [
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

/// Judges what `$JS.API.INFO` answered, by tiers if the account has any; `stream` is what `STREAM.INFO` did.
pub(super) fn judge(info: &Value, stream: Option<&Value>) -> Vec<Finding> {
    let consumers = stream.and_then(|stream| stream.get("state")?.get("consumer_count")?.as_i64());
    let tiers = info.get("tiers").and_then(Value::as_object);
    let tiers = tiers.into_iter().flatten();
    let tiers = tiers.map(|(name, of)| (format!(" of tier {name}"), of));
    let all = std::iter::once((String::new(), info)).chain(tiers);
    all.flat_map(|(tier, of)| judge_limits(&tier, of, consumers))
        .collect()
}

fn judge_limits(tier: &str, of: &Value, consumers: Option<i64>) -> Vec<Finding> {
    let number = |of: &Value, member| of.get(member).and_then(Value::as_i64).unwrap_or(0);
    let limit = |member| of.get("limits").map_or(0, |limits| number(limits, member));
    let found = |what, why, limit| {
        let mend = format!("raise {limit} of the account, or remove what nobody needs");
        Finding::new(Severity::Warning, "account", what, why, mend)
    };
    let find = |(held, member, why)| {
        let (used, most) = (number(of, held), limit(member));
        let what = format!("{used} of {most} {held}{tier} are used");
        is_near(used, most).then(|| found(what, why, member))
    };
    let mut all: Vec<Finding> = LIMITS.into_iter().filter_map(find).collect();
    // It limits each stream's, not their sum.
    let (used, most) = (consumers.unwrap_or(0), limit("max_consumers"));
    if 0 < most && (is_near(used, most) || most < used.saturating_add(2)) {
        let what = format!("{used} of {most} consumers of a stream{tier} are taken");
        let why = "at the limit the service cannot attach, nor a rebuild beside it";
        all.push(found(what, why, "max_consumers"));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_found_from_nine_tenths_on() {
        let limits =
            json!({"max_storage": 1000, "max_memory": -1, "max_streams": 1, "max_consumers": 20});
        let few = json!({"max_consumers": 3});
        let stream = |consumers: u64| json!({"state": {"consumer_count": consumers}});
        for (info, consumers, expected) in [
            (
                json!({"storage": 899, "memory": 9, "limits": limits}),
                17,
                &[][..],
            ),
            (
                json!({"storage": 900, "limits": limits}),
                0,
                &["900 of 1000 storage are used"],
            ),
            (
                json!({"streams": 1, "consumers": 99, "limits": limits}),
                18,
                &[
                    "1 of 1 streams are used",
                    "18 of 20 consumers of a stream are taken",
                ],
            ),
            (json!({"limits": few}), 1, &[]),
            (
                json!({"limits": few}),
                2,
                &["2 of 3 consumers of a stream are taken"],
            ),
            (
                json!({"limits": {}, "tiers": {"R3": {"storage": 990, "limits": limits}}}),
                0,
                &["990 of 1000 storage of tier R3 are used"],
            ),
            (json!(7), 0, &[]),
        ] {
            let found = judge(&info, Some(&stream(consumers))).into_iter();
            let found: Vec<String> = found.map(|found| found.what).collect();
            assert_eq!(found, expected, "{info}");
        }
    }
}
