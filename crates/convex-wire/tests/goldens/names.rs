//! Functions, clients, formats and timestamps by name.

use convex_wire::client::Support;
use convex_wire::{ClientVersion, Format, FunctionPath, Timestamp, TransportError, path};

use crate::{OURS, check_transport};

#[test]
fn paths_that_pass() {
    for (path, short, long) in [
        (OURS, OURS, "profiles/queries.js:getCurrentUserProfile"),
        (
            "profiles/queries.js:f",
            "profiles/queries:f",
            "profiles/queries.js:f",
        ),
        (
            "profiles/queries",
            "profiles/queries",
            "profiles/queries.js:default",
        ),
        (
            "profiles/queries:default",
            "profiles/queries",
            "profiles/queries.js:default",
        ),
        ("a//./b:f", "a/b:f", "a/b.js:f"),
        ("_system/x:_f", "_system/x:_f", "_system/x.js:_f"),
    ] {
        let parsed = FunctionPath::parse(path).unwrap();
        assert_eq!(
            (
                parsed.to_string().as_str(),
                parsed.canonical().to_string().as_str()
            ),
            (short, long)
        );
        assert_eq!(parsed.is_system(), path.starts_with("_system/"));
    }
}

#[test]
fn paths_that_name_no_function() {
    let long = "x".repeat(65);
    for (path, reason) in [
        ("", "Module path  doesn't have a filename."),
        ("..:f", "Module path .. doesn't have a filename."),
        ("a:", "Identifier cannot be empty"),
        (
            "profiles/queries:get-x",
            "Identifier get-x has invalid character '-': Identifiers can only contain alphanumeric characters or underscores",
        ),
        (
            "profiles/queries:1x",
            "Invalid first character '1' in 1x: Identifiers must start with an alphabetic character or underscore",
        ),
        (
            "profiles:queries:f",
            "Path component profiles:queries.js can only contain alphanumeric characters, underscores, or periods.",
        ),
        (
            "/profiles/queries:f",
            "Module paths must be relative (/profiles/queries is absolute).",
        ),
        (
            "profiles.queries:f",
            "Module path (profiles.queries) has an extension that isn't 'js'.",
        ),
        (
            "../b:f",
            "Path component .. must have at least one alphanumeric character.",
        ),
        (
            &format!("{long}/b:f"),
            "Path component is too long (65 > maximum 64).",
        ),
        (
            &format!("a:{long}"),
            "Identifier is too long (65 > maximum 64)",
        ),
        (
            "a:__",
            "Identifier __ must have at least one alphanumeric character",
        ),
    ] {
        check_transport(
            &FunctionPath::parse(path).unwrap_err(),
            400,
            "BadConvexFunctionIdentifier",
            &format!("{path} is not a valid path to a Convex function. {reason}"),
        );
    }
}

#[test]
fn paths_in_urls() {
    let parse =
        |raw: &str| path::decode_url_tail(raw).and_then(|tail| FunctionPath::parse_url_tail(&tail));
    for fine in [
        "profiles/queries/getCurrentUserProfile",
        "profiles%2Fqueries%2FgetCurrentUserProfile",
        "profiles/queries.js/getCurrentUserProfile",
        "profiles/queries/get%2543urrentUserProfile",
    ] {
        assert_eq!(parse(fine).unwrap().to_string(), OURS, "{fine}");
    }
    check_transport(
        &parse("onlyone").unwrap_err(),
        400,
        "MissingIdentifier",
        "Path or function name not provided in path, e.g. /api/run/messages/list",
    );
    for bytes in ["a%ff/b", "a%25ff/b"] {
        check_transport(
            &parse(bytes).unwrap_err(),
            400,
            "BadPathArgs",
            "Invalid UTF-8 in `functionIdentifier`",
        );
    }
    assert_eq!(
        parse("profiles/queries/getCurrentUserProfile/")
            .unwrap_err()
            .to_string(),
        "profiles/queries/getCurrentUserProfile: is not a valid path to a Convex function. Identifier cannot be empty"
    );
    assert_eq!(
        parse("/profiles/queries/f").unwrap_err().to_string(),
        "/profiles/queries:f is not a valid path to a Convex function. Module paths must be relative (/profiles/queries is absolute)."
    );
}

#[test]
fn clients() {
    let unsupported = |header: &str, text: &str| {
        let support = ClientVersion::parse(header).unwrap().support();
        assert_eq!(support, Support::Unsupported(text.to_owned()), "{header}");
    };
    let npm = |version: &str| {
        format!(
            "The Convex npm package at version {version} is no longer supported. Update your Convex npm version with `npx convex update` or `npm update`."
        )
    };
    unsupported("npm-0.19.1", &npm("0.19.1"));
    unsupported("NPM-cli-0.1.0", &npm("0.1.0"));
    unsupported("npm-0.19.1-alpha.1", &npm("0.19.1-alpha.1"));
    unsupported("npm-abc", &npm("abc"));
    unsupported(
        "python-0.0.2",
        "The Convex python package at version 0.0.2 is no longer supported. Update your Convex python version with `pip install --upgrade convex`.",
    );
    unsupported(
        "rust-0.0.1",
        "The Convex rust package at version 0.0.1 is no longer supported. Update your Convex rust version with `cargo update -p convex` or by updating `Cargo.toml`.",
    );
    assert!(matches!(
        ClientVersion::parse("python-0.2.0").unwrap().support(),
        Support::Deprecated(_)
    ));
    for fine in [
        "npm-1.48.0",
        "npm-0.19.2-alpha.0",
        "python-0.2.1",
        "rust-0.10.4",
        "curl-x",
        "a-b-0.0.1",
    ] {
        assert_eq!(
            ClientVersion::parse(fine).unwrap().support(),
            Support::Supported,
            "{fine}"
        );
    }
    check_transport(
        &TransportError::InvalidClientVersion(ClientVersion::parse("foo").unwrap_err()),
        400,
        "InvalidClientVersion",
        "Failed to parse client version string: 'foo'. Expected format is {client_name}-{semver}, e.g. my-esolang-client-0.0.1",
    );
    check_transport(
        &TransportError::InvalidClientVersion(ClientVersion::from_url_segment("foo").unwrap_err()),
        400,
        "InvalidClientVersion",
        "Failed to parse client version: unexpected character 'f' while parsing major version number",
    );
}

#[test]
fn formats() {
    for (name, format) in [
        ("json", Format::Clean),
        ("convex_clean_json", Format::Clean),
        ("convex_encoded_json", Format::Encoded),
        ("convex_json", Format::Encoded),
        ("export_json", Format::Export),
    ] {
        assert_eq!(Format::parse(name).unwrap(), format);
    }
    for bad in ["xml", "", "JSON"] {
        check_transport(
            &Format::parse(bad).unwrap_err().into(),
            400,
            "BadFormat",
            &format!("format param must be one of [`json`]. Got {bad}"),
        );
    }
    for (client, format) in [
        ("npm-1.4.0", Format::Encoded),
        ("actions-1.4.0", Format::Encoded),
        ("npm-cli-1.4.1-alpha.0", Format::Encoded),
        ("npm-1.4.1", Format::Clean),
        ("npm-abc", Format::Clean),
        ("python-0.4.9", Format::Encoded),
        ("python-convex-0.5.0", Format::Clean),
        ("rust-0.0.2", Format::Clean),
        ("other-0.0.1", Format::Clean),
    ] {
        let client = ClientVersion::parse(client).unwrap();
        assert_eq!(Format::default_for(Some(&client)), format, "{client:?}");
    }
    assert_eq!(Format::default_for(None), Format::Clean);
}

#[test]
fn timestamps() {
    let timestamp = Timestamp(1_700_000_000_000_000_000);
    assert_eq!(timestamp.to_string(), "AAAqNv6clxc=");
    assert_eq!(Timestamp::ZERO.to_string(), "AAAAAAAAAAA=");
    assert_eq!(Timestamp::parse("AAAqNv6clxc="), Ok(timestamp));
    for bad in ["", "zzz", "AAAA", "AAAqNv6clxc"] {
        assert!(Timestamp::parse(bad).is_err(), "{bad}");
    }
}
