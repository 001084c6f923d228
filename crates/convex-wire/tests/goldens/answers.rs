//! Values, envelopes and transport errors.

use convex_wire::encode::{write_array, write_value};
use convex_wire::response::{write_failure, write_success};
use convex_wire::sync::UpgradeFault;
use convex_wire::{
    Format, FunctionError, FunctionKind, FunctionPath, ObjectWriter, RequestId, ShownHeader,
    TextMode, TransportError as E, Value,
};

use crate::check_transport;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut buffer = Vec::new();
    write(&mut buffer);
    String::from_utf8(buffer).unwrap()
}

#[test]
fn values_in_the_three_forms() {
    let check = |value: &Value, clean: &str, encoded: &str, export: &str| {
        for (format, wanted) in [
            (Format::Clean, clean),
            (Format::Encoded, encoded),
            (Format::Export, export),
        ] {
            assert_eq!(
                text(|buffer| write_value(buffer, format, value)),
                wanted,
                "{format:?}"
            );
        }
    };
    let same = |value: &Value, wanted: &str| check(value, wanted, wanted, wanted);
    same(&Value::Null, "null");
    same(&Value::Bool(true), "true");
    same(&Value::Float64(30.0), "30.0");
    same(&Value::Float64(1_700_000_000_000.0), "1700000000000.0");
    same(&Value::Float64(0.0), "0.0");
    same(
        &Value::String("\"\\\u{8}\u{c}\n\r\t\u{1}/\u{7f}\u{2028}ä".into()),
        "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\u{7f}\u{2028}ä\"",
    );
    let float = |text: &str| format!(r#"{{"$float":"{text}"}}"#);
    check(
        &Value::Float64(-0.0),
        "-0.0",
        &float("AAAAAAAAAIA="),
        "-0.0",
    );
    let (nan, inf, negative) = (
        float("AAAAAAAA+H8="),
        float("AAAAAAAA8H8="),
        float("AAAAAAAA8P8="),
    );
    check(&Value::Float64(f64::NAN), r#""NaN""#, &nan, &nan);
    check(&Value::Float64(f64::INFINITY), r#""Infinity""#, &inf, &inf);
    check(
        &Value::Float64(f64::NEG_INFINITY),
        r#""-Infinity""#,
        &negative,
        &negative,
    );
    check(
        &Value::Int64(33),
        r#""33""#,
        r#"{"$integer":"IQAAAAAAAAA="}"#,
        "33",
    );
    let bytes = r#"{"$bytes":"AQI="}"#;
    check(&Value::Bytes(vec![1, 2]), r#""AQI=""#, bytes, bytes);
    let object = [
        ("b", Value::Null),
        ("_id", Value::Array(vec![Value::Null, Value::Bool(false)])),
    ];
    let object = Value::Object(object.map(|(name, value)| (name.to_owned(), value)).into());
    same(&object, r#"{"_id":[null,false],"b":null}"#);
}

#[test]
fn an_object_written_in_one_pass() {
    let written = text(|buffer| {
        let mut object = ObjectWriter::new(buffer, Format::Encoded);
        object.string("_id", "x");
        object.float("age", -0.0);
        object.strings("languages", ["en", "fr"]);
        object.value("none", &Value::Null);
        object.finish();
    });
    assert_eq!(
        written,
        r#"{"_id":"x","age":{"$float":"AAAAAAAAAIA="},"languages":["en","fr"],"none":null}"#
    );
}

#[test]
#[should_panic(expected = "out of order")]
#[cfg(debug_assertions)]
fn an_object_written_out_of_order() {
    let mut buffer = Vec::new();
    let mut object = ObjectWriter::new(&mut buffer, Format::Clean);
    object.string("b", "x");
    object.string("a", "x");
}

#[test]
fn envelopes() {
    let path = || FunctionPath::parse("a/b:c").unwrap();
    let request = RequestId::given("rid0");
    assert_eq!(
        text(|buffer| write_success(buffer, |buffer| buffer.extend_from_slice(b"null"))),
        r#"{"status":"success","value":null}"#
    );
    let error = FunctionError::NotPublic(path());
    assert_eq!(
        text(|buffer| write_failure(buffer, &error.error_message(&request, TextMode::Verbose))),
        r#"{"status":"error","errorMessage":"[Request ID: rid0] Server Error\nCould not find public function for 'a/b:c'.\n"}"#
    );
    assert_eq!(
        error.error_message(&request, TextMode::Redacted),
        "[Request ID: rid0] Server Error"
    );
    assert_eq!(
        FunctionError::NotFound(path()).to_string(),
        "Could not find function for 'a/b:c'. Did you forget to run `npx convex dev`?"
    );
    for (called, name) in [
        (FunctionKind::Mutation, "Mutation"),
        (FunctionKind::Action, "Action"),
    ] {
        assert_eq!(
            FunctionError::NotA {
                path: path(),
                called
            }
            .to_string(),
            format!("Trying to execute a/b.js:c as {name}, but it is defined as Query.")
        );
    }
    assert_eq!(
        FunctionError::NotPermitted(FunctionKind::Query).to_string(),
        "Operation query not permitted"
    );
    assert_eq!(RequestId::from_random(0xab).to_string(), "00000000000000ab");
    assert_eq!(
        text(|buffer| write_array(buffer, [1, 2], |buffer, item| buffer.push(b'0' + item))),
        "[1,2]"
    );
}

#[test]
fn transport_errors() {
    assert_eq!(
        text(|buffer| E::MissingIdentifier.write(buffer)),
        r#"{"code":"MissingIdentifier","message":"Path or function name not provided in path, e.g. /api/run/messages/list"}"#
    );
    let key = "The provided deploy key was invalid for this deployment. Double check that the environment this key was generated for matches the desired deployment.";
    let later = "Your request couldn't be completed. Try again later.";
    for (error, status, code, message) in [
        (
            E::HeaderParseFailure(ShownHeader("\"\\xff\"".into())),
            400,
            "HeaderParseFailure",
            "Failed to parse header \"\\xff\"",
        ),
        (
            E::MalformedAuthorization,
            400,
            "HeaderParseFailure",
            "Malformed Authorization header.",
        ),
        (
            E::InvalidHeaderFailure,
            400,
            "InvalidHeaderFailure",
            "Invalid authentication header",
        ),
        (
            E::InvalidAdminKey,
            400,
            "InvalidAdminKey",
            "Invalid admin key",
        ),
        (
            E::BadAdminKey,
            401,
            "BadAdminKey",
            "The provided admin key was invalid for this instance",
        ),
        (E::BadDeployKey, 403, "BadDeployKey", key),
        (E::InternalServerError, 500, "InternalServerError", later),
        (E::OutOfRetention, 503, "InternalServerError", later),
    ] {
        check_transport(&error, status, code, message);
    }
}

#[test]
fn a_header_is_shown_to_its_sender_alone() {
    let error = E::HeaderParseFailure(ShownHeader("secret".into()));
    assert!(error.to_string().contains("secret"));
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
fn faults_of_a_handshake() {
    for (fault, code, message) in [
        (
            UpgradeFault::Connection,
            "InvalidConnectionHeader",
            "Connection header did not include upgrade",
        ),
        (
            UpgradeFault::Upgrade,
            "InvalidUpgradeHeader",
            "Upgrade header did not include websocket",
        ),
        (
            UpgradeFault::Key,
            "WebSocketKeyHeaderMissing",
            "Sec-WebSocket-Key header missing",
        ),
        (
            UpgradeFault::Version,
            "InvalidWebSocketVersionHeader",
            "Sec-WebSocket-Version header did not include 13",
        ),
    ] {
        check_transport(&E::from(fault), 400, code, message);
    }
}
