//! Where two JSON values differ, for people.

use serde_json::Value;

/// One line a difference, by the path of the member; none when they are the same value. Numbers are
/// compared by value: `36` is `36.0`.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, found, &mut lines);
    lines
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, value) in expected {
                let path = member(path, name);
                match found.get(name) {
                    Some(other) => compare(&path, value, other, lines),
                    None => lines.push(format!("{path}: expected {value}, is not there")),
                }
            }
            let unexpected = found
                .iter()
                .filter(|(name, _)| !expected.contains_key(*name));
            lines.extend(
                unexpected.map(|(name, value)| {
                    format!("{}: not expected, is {value}", member(path, name))
                }),
            );
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}[{place}]"), expected, found, lines);
            }
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        (expected, found) if expected == found => {}
        (expected, found) => {
            let path = if path.is_empty() { "the value" } else { path };
            lines.push(format!("{path}: expected {expected}, is {found}"));
        }
    }
}

fn member(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_is_named_once() {
        let expected = json!({"a": 36, "b": "x", "c": [1, {"d": 2}], "e": null, "l": [1]});
        let found = json!({"a": 36.0, "b": "y", "c": [1, {"d": 3}], "f": true, "l": [1, 2]});
        assert_eq!(
            differences(&expected, &found),
            [
                r#"b: expected "x", is "y""#,
                "c[1].d: expected 2, is 3",
                "e: expected null, is not there",
                "l: expected [1], is [1,2]",
                "f: not expected, is true",
            ]
        );
        assert_eq!(
            differences(&Value::Null, &json!({})),
            ["the value: expected null, is {}"]
        );
        assert!(differences(&expected, &expected).is_empty());
    }
}
