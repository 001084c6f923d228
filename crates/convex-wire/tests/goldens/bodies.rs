//! Request bodies and query strings.

use convex_wire::request::{
    QueryBatchArgs, UdfPostRequest, UdfPostRequestArgsOnly, UdfPostRequestWithComponent,
    UdfPostWithTsRequest, get_query_fault, is_json, parse_body,
};
use serde::de::DeserializeOwned;

use crate::check_transport;

#[track_caller]
fn check_body<T: DeserializeOwned + std::fmt::Debug>(body: impl AsRef<[u8]>, message: &str) {
    let error = parse_body::<T>(body.as_ref()).unwrap_err();
    check_transport(&error, 400, "BadJsonBody", message);
}

#[test]
fn bodies_that_are_no_json() {
    let check = |body: &str, fault: &str| {
        let message = format!("Failed to parse the request body as JSON: {fault}");
        check_body::<UdfPostRequestArgsOnly>(body, &message);
    };
    check("", "EOF while parsing a value at line 1 column 0");
    check("{", "EOF while parsing an object at line 1 column 1");
    check(r#"{"args":{},}"#, "trailing comma at line 1 column 12");
    check("{'args':{}}", "key must be a string at line 1 column 2");
    check(
        r#"{"args":{}} x"#,
        "trailing characters at line 1 column 13",
    );
    check(
        r#"{"args":{"a":}}"#,
        "args: expected value at line 1 column 14",
    );
    check("\u{feff}{\"args\":{}}", "expected value at line 1 column 1");
    check_body::<UdfPostRequestArgsOnly>(
        b"{\"\xff\":1}",
        "Failed to parse the request body as JSON: invalid unicode code point at line 1 column 3",
    );
}

#[test]
fn bodies_of_another_shape() {
    #[track_caller]
    fn check<T: DeserializeOwned + std::fmt::Debug>(body: &str, fault: &str) {
        let start = "Failed to deserialize the JSON body into the target type";
        check_body::<T>(body, &format!("{start}: {fault}"));
    }
    check::<UdfPostRequestArgsOnly>("{}", "missing field `args` at line 1 column 2");
    check::<UdfPostRequest>("{}", "missing field `path` at line 1 column 2");
    check::<UdfPostRequest>(
        r#"{"path":"x"}"#,
        "missing field `args` at line 1 column 12",
    );
    check::<UdfPostRequestArgsOnly>(
        r#"{"args":{}, "args":{}}"#,
        "duplicate field `args` at line 1 column 18",
    );
    check::<UdfPostRequestArgsOnly>(
        r#"{"args":{},"format":5}"#,
        "format: invalid type: integer `5`, expected a string at line 1 column 21",
    );
    check::<UdfPostRequest>(
        r#"{"path":5}"#,
        "path: invalid type: integer `5`, expected a string at line 1 column 9",
    );
    let null =
        |name: &str| format!("invalid type: null, expected struct {name} at line 1 column 4");
    check::<UdfPostRequestArgsOnly>("null", &null("UdfPostRequestArgsOnly"));
    check::<UdfPostRequest>("null", &null("UdfPostRequest"));
    check::<UdfPostWithTsRequest>("null", &null("UdfPostWithTsRequest"));
    check::<QueryBatchArgs>("null", &null("QueryBatchArgs"));
    check::<QueryBatchArgs>("{}", "missing field `queries` at line 1 column 2");
    check::<UdfPostWithTsRequest>(
        r#"{"path":"x","args":{}}"#,
        "missing field `ts` at line 1 column 22",
    );
    check::<UdfPostRequestWithComponent>("{}", "missing field `path` at line 1 column 2");
}

#[test]
fn bodies_that_pass() {
    let array: UdfPostRequestArgsOnly = parse_body(br#"[{},"json"]"#).unwrap();
    assert_eq!(array.format.as_deref(), Some("json"));
    let extra: UdfPostRequestArgsOnly = parse_body(br#"{"x":1,"args":null}"#).unwrap();
    assert_eq!((extra.args.get(), extra.format), ("null", None));
    let component: UdfPostRequestWithComponent =
        parse_body(br#"{"componentPath":"c","path":"p","args":1,"format":null}"#).unwrap();
    assert_eq!(component.component_path.as_deref(), Some("c"));
}

#[test]
fn content_types() {
    for json in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.x+json",
    ] {
        assert!(is_json(Some(json.as_bytes())), "{json}");
    }
    let others = [
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/x-www-form-urlencoded",
    ];
    for other in others {
        assert!(!is_json(Some(other.as_bytes())), "{other}");
    }
    assert!(!is_json(None) && !is_json(Some(b"application/json\xff")));
}

#[test]
fn get_query() {
    for (names, reason) in [
        (&[][..], "missing field `path`"),
        (&["format"], "missing field `path`"),
        (&["path", "x"], "missing field `args`"),
        (&["path", "path"], "duplicate field `path`"),
        (
            &["path", "args"],
            "args: invalid type: newtype struct, expected any valid JSON value",
        ),
    ] {
        check_transport(
            &get_query_fault(names.iter().copied()),
            400,
            "BadQueryArgs",
            &format!("Failed to deserialize query string: {reason}"),
        );
    }
}
