//! What a function that takes nothing says of its arguments.

use convex_wire::FunctionPath;
use convex_wire::args::check_empty;
use serde_json::value::RawValue;

use crate::OURS;

/// What is said of `args`; empty if they are accepted.
fn check(args: &str) -> String {
    let path = FunctionPath::parse(OURS).unwrap();
    let raw: Box<RawValue> = serde_json::from_str(args).unwrap();
    check_empty(&path, &raw)
        .err()
        .map(|fault| fault.to_string())
        .unwrap_or_default()
}

#[test]
fn accepted() {
    for fine in ["{}", " { } ", "[{}]", "[ {} ]"] {
        assert_eq!(check(fine), "", "{fine}");
    }
}

#[test]
fn an_object_with_fields() {
    for (args, field, object) in [
        (r#"{"foo":1}"#, "foo", "{foo: 1.0}"),
        (r#"{"b":"x","a":true}"#, "a", r#"{a: true, b: "x"}"#),
        (r#"{"foo":null}"#, "foo", "{foo: null}"),
        (r#"[{"a":[1e21,"q\"\n"]}]"#, "a", r#"{a: [1e21, "q\"\n"]}"#),
        (r#"{"a":{"$bytes":"AQI="}}"#, "a", r#"{a: b"AQI="}"#),
        (r#"{"a":-0}"#, "a", "{a: -0.0}"),
        (r#"{"a":1,"a":2}"#, "a", "{a: 2.0}"),
    ] {
        let text = format!(
            "ArgumentValidationError: Object contains extra field `{field}` that is not in the validator.\n\nObject: {object}\nValidator: v.object({{}})"
        );
        assert_eq!(check(args), text);
    }
}

#[test]
fn other_than_one_object() {
    for (args, value) in [
        ("5", "5.0"),
        ("1700000000000", "1700000000000.0"),
        ("null", "null"),
        (r#""x""#, r#""x""#),
        ("[[]]", "[]"),
        (r#"{"$integer":"IQAAAAAAAAA="}"#, "33"),
        (r#"{"$float":"AAAAAAAA+H8="}"#, "NaN"),
    ] {
        let text = "ArgumentValidationError: Expected to receive an object as the function's argument. Instead received: ";
        assert_eq!(check(args), format!("{text}{value}"));
    }
    for (args, list) in [
        ("[]", "0 arguments: []"),
        ("[{},{}]", "2 arguments: [{}, {}]"),
        ("[1,{}]", "2 arguments: [1.0, {}]"),
    ] {
        let text = "ArgumentValidationError: Expected to receive a single object as the function's argument. Instead received ";
        assert_eq!(check(args), format!("{text}{list}"));
    }
}

#[test]
fn no_convex_values() {
    for (args, fault) in [
        (
            r#"{"$x":1}"#,
            "Field name $x starts with '$', which is reserved.",
        ),
        (
            r#"{"a":{"$x":1}}"#,
            "Field name $x starts with '$', which is reserved.",
        ),
        (
            r#"{"$integer":"IQAAAAAAAAA=","b":1}"#,
            "Field name $integer starts with '$', which is reserved.",
        ),
        (
            r#"{"ä":1}"#,
            "Field name ä has invalid character 'ä': Field names can only contain non-control ASCII characters",
        ),
        (
            r#"{"$float":"AAAAAAAA8D8="}"#,
            "Float64 1 should be encoded as a number",
        ),
        (
            r#"{"$integer":5}"#,
            "$integer must hold the base64 text of 8 bytes",
        ),
        (r#"{"$bytes":"?"}"#, "$bytes must hold base64 text"),
        (
            r#"{"$set":[]}"#,
            "Received a Set which is no longer supported as a Convex type",
        ),
    ] {
        let text = "Invalid arguments for profiles/queries.js:getCurrentUserProfile: ";
        assert_eq!(check(args), format!("{text}{fault}"));
    }
    let long = format!(r#"{{"{}":1}}"#, "x".repeat(1025));
    assert!(check(&long).ends_with("Field name is too long (1025 > maximum 1024)"));
}

#[test]
fn json_in_form_only() {
    for no_json in [
        "1e400",
        r#""\ud800""#,
        &format!("{}{}", "[".repeat(200), "]".repeat(200)),
    ] {
        assert_eq!(check(no_json), "Invalid arguments provided", "{no_json}");
    }
}

#[test]
fn too_large() {
    let large = format!("[{}0]", "0,".repeat(1_900_000));
    assert_eq!(
        check(&large),
        "Arguments for profiles/queries.js:getCurrentUserProfile are too large (actual: 16.31 MiB, limit: 16 MiB)"
    );
}
