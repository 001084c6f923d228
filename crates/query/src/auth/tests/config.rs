//! Configurations: what is taken, and all that is wrong with what is not.

use super::super::policy::Binding;
use super::*;

fn faults(text: &str) -> Vec<String> {
    let faults = AuthConfig::parse(text, Path::new("/etc/app")).unwrap_err();
    faults
        .0
        .iter()
        .map(|fault| format!("{}: {}", fault.place, fault.problem))
        .collect()
}

#[test]
fn all_faults_are_told_together() {
    let text = r#"{"issuers":[
        {"issuer":"","jwks":"http://keys.example/jwks","audience":7,"workos_sessions":1},
        {"jwks":"ftp://keys.example/","audiense":"x"},
        {"issuer":"https://i.example","jwks":"https://me:secret@keys.example/"},
        {"issuer":"https://i.example","jwks":"https://keys.example/#x"},
        {"issuer":"https://","jwks":"https://"},
        7],"more":1}"#;
    let expected = [
        "more: there is no such member",
        "issuers[0].issuer: it is missing or not such a text",
        "issuers[0].jwks: http://keys.example/jwks is not encrypted",
        "issuers[0].audience: it is missing or not such a text",
        "issuers[0].workos_sessions: it is not true or false",
        "issuers[1].audiense: there is no such member",
        "issuers[1].issuer: it is missing or not such a text",
        "issuers[1].jwks: ftp://keys.example/ is neither https nor http",
        "issuers[2].jwks: it holds a user name or a password",
        "issuers[3].jwks: https://keys.example/#x has a fragment",
        "issuers[4].issuer: it is missing or not such a text",
        "issuers[4].jwks: it is no address: empty host",
        "issuers[5]: it is not a JSON object",
    ];
    assert_eq!(faults(text), expected);
    let shown = AuthConfig::parse(text, Path::new(""))
        .unwrap_err()
        .to_string();
    assert_eq!(shown.lines().count(), expected.len());
    assert!(!shown.contains("secret"));
    for (text, place) in [
        ("[]", "the file"),
        ("{", "the file"),
        ("{}", "issuers"),
        (r#"{"issuers":[]}"#, "issuers"),
    ] {
        assert!(faults(text)[0].starts_with(place), "{text}");
    }
}

#[test]
fn addresses_and_paths_are_taken_as_they_are_meant() {
    for (jwks, source) in [
        ("jwks.json", "/etc/app/jwks.json"),
        ("/run/keys/jwks.json", "/run/keys/jwks.json"),
        (
            "https://keys.example/jwks?x=1",
            "https://keys.example/jwks?x=1",
        ),
        ("http://127.0.0.1:8080/jwks", "http://127.0.0.1:8080/jwks"),
        ("http://[::1]/jwks", "http://[::1]/jwks"),
        ("http://localhost/jwks", "http://localhost/jwks"),
    ] {
        let document = serde_json::json!({"issuers": [{"issuer": "i", "jwks": jwks}]});
        let config = AuthConfig::parse(&document.to_string(), Path::new("/etc/app")).unwrap();
        assert_eq!(config.sources[0].to_string(), source);
        assert_eq!(config.issuers[0].binding, Binding::Issuer);
    }
    for jwks in [
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://10.0.0.1/",
    ] {
        let document = serde_json::json!({"issuers": [{"issuer": "i", "jwks": jwks}]});
        assert!(
            AuthConfig::parse(&document.to_string(), Path::new("")).is_err(),
            "{jwks}"
        );
    }
}

#[test]
fn a_workos_client_has_two_issuers_and_one_key_address() {
    let config = AuthConfig::workos("client_01ABC").unwrap();
    let names: Vec<_> = config.issuers.iter().map(|issuer| &*issuer.name).collect();
    let expected = [
        "https://api.workos.com/",
        "https://api.workos.com/user_management/client_01ABC",
    ];
    assert_eq!(names, expected);
    assert_eq!(config.sources.len(), 1);
    assert_eq!(
        config.sources[0].to_string(),
        "https://api.workos.com/sso/jwks/client_01ABC"
    );
    for bad in ["", "a/b", "../x", "a b", "ä", &"x".repeat(600)] {
        assert!(AuthConfig::workos(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_session_rules_can_be_asked_for() {
    let text = r#"{"issuers":[{"issuer":"https://i.example","jwks":"k","workos_sessions":true}]}"#;
    let with = verifier(AuthConfig::parse(text, Path::new("")).unwrap());
    let without =
        verifier(AuthConfig::parse(&text.replace("true", "false"), Path::new("")).unwrap());
    let session = Token::good().claim("iss", "\"i.example\"");
    let machine = session.clone().claim("sub", "\"machine\"").without("sid");
    let year = session
        .clone()
        .claim("exp", &(NOW + 31_536_000).to_string());
    assert!(with.verify(&session.signed()).is_ok());
    for token in [machine, year] {
        assert!(with.verify(&token.signed()).is_err() && without.verify(&token.signed()).is_ok());
    }
}

#[test]
fn a_missing_or_huge_file_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    let fault = || AuthConfig::from_file(&path).unwrap_err().to_string();
    assert!(fault().contains("auth.json: it cannot be read"));
    std::fs::write(&path, " ".repeat(70_000)).unwrap();
    assert!(fault().contains("it has 70000 bytes"));
    let text = r#"{"issuers":[{"issuer":"i","jwks":"jwks.json"}]}"#;
    std::fs::write(&path, text).unwrap();
    let config = AuthConfig::from_file(&path).unwrap();
    let beside = folder.path().join("jwks.json");
    assert_eq!(config.sources[0].to_string(), beside.display().to_string());
}
