//! The data of each type: what is taken, and the fault for what is not.

use serde_json::{Value, json};

use super::{base, event, fault};
use crate::testing::{Form, Message, dropped, profile_patched, profile_state, user_state};
use crate::{
    Event, Field, Gender, Number, Profile, ProfileChange, ProfilePatch, UserChange, Version,
};

/// Golden: `type | piece of its data | what stands there instead | fault`.
const FAULTS: &str = include_str!("members.txt");

#[test]
fn every_rule_of_the_data_has_its_fault_in_all_three_forms() {
    for line in FAULTS.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [word, piece, instead, expected] = columns[..] else {
            panic!("four columns: {line}");
        };
        let base = base(word);
        assert!(base.data.contains(piece), "{word} has no {piece}");
        let data = base.data.replacen(piece, instead, 1);
        for form in Form::ALL {
            let found = fault(&base.with_data(&data, form));
            // What breaks the JSON breaks the whole body of a structured record, elsewhere in it.
            let broken = found.starts_with("body is not JSON: ") && form != Form::Binary;
            if broken && expected.starts_with("data") {
                continue;
            }
            assert_eq!(found, expected, "{form:?}: {line}");
        }
    }
}

fn profile_change(message: &Message) -> ProfileChange {
    let Event::Profile { change, .. } = event(message) else {
        panic!("a profile's event");
    };
    change
}

fn profile_of(message: &Message) -> Profile<Box<str>> {
    let ProfileChange::State { profile, .. } = profile_change(message) else {
        panic!("a whole state");
    };
    profile.members().map(Into::into)
}

fn patch_of(patch: &Value) -> (u64, ProfilePatch) {
    let draft = profile_patched("u1", "p1", 3, patch);
    let ProfileChange::Patch { version, patch } = profile_change(&draft.into()) else {
        panic!("a patch");
    };
    (version.get(), *patch)
}

fn user_state_of(message: &Message) -> (String, u64, String) {
    let Event::User { user, change } = event(message) else {
        panic!("a user's event");
    };
    let UserChange::State { version, workos_id } = change else {
        panic!("a whole state");
    };
    (user.to_string(), version.get(), workos_id.as_str().into())
}

#[test]
fn user_state_is_its_identity_and_version() {
    for form in Form::ALL {
        let (user, version, identity) = user_state_of(&base("user.registered").message(form));
        assert_eq!((&*user, version, &*identity), ("u1", 3, "w1"));
    }
}

#[test]
fn profile_state_keeps_every_member() {
    for form in Form::ALL {
        let expected = Profile {
            display_name: "Ada".into(),
            languages: vec!["en".into(), "fr".into()],
            created_at: Number(1.0),
            updated_at: Number(2.5),
            age: Some(Number(36.0)),
            gender: Some(Gender::NonBinary),
            bio: Some("b".into()),
            company: Some("c".into()),
            experience: Some("e".into()),
            field: Some("f".into()),
            goals: Some("g".into()),
            job_title: Some("j".into()),
            linkedin_url: Some("l".into()),
        };
        assert!(profile_of(&base("profile.created").message(form)) == expected);
    }
}

#[test]
fn patch_tells_absent_from_null_from_a_value() {
    let (version, all) = patch_of(&json!({
        "age": 1, "gender": "female", "bio": "b", "company": "c", "experience": "e",
        "field": "f", "goals": "g", "jobTitle": "j", "linkedinUrl": "l", "displayName": "d",
        "languages": ["en"], "createdAt": 1, "updatedAt": 2,
    }));
    assert_eq!(version, 3);
    assert!(all.age == Field::Set(Number(1.0)) && all.gender == Field::Set(Gender::Female));
    let texts = [
        (all.bio, "b"),
        (all.company, "c"),
        (all.experience, "e"),
        (all.field, "f"),
        (all.goals, "g"),
        (all.job_title, "j"),
        (all.linkedin_url, "l"),
    ];
    assert!(
        texts
            .into_iter()
            .all(|(found, expected)| found == Field::Set(expected.into()))
    );
    assert_eq!(all.display_name.as_deref(), Some("d"));
    assert_eq!(all.languages, Some(vec!["en".into()]));
    assert_eq!(all.created_at, Some(Number(1.0)));
    assert_eq!(all.updated_at, Some(Number(2.0)));

    let (_, none) = patch_of(&json!({}));
    assert!(none == ProfilePatch::default());
    let (_, nulls) = patch_of(&json!({
        "age": null, "gender": null, "bio": null, "company": null, "experience": null,
        "field": null, "goals": null, "jobTitle": null, "linkedinUrl": null,
    }));
    assert!(nulls.age == Field::Remove && nulls.gender == Field::Remove);
    let texts = [
        nulls.bio,
        nulls.company,
        nulls.experience,
        nulls.field,
        nulls.goals,
        nulls.job_title,
        nulls.linkedin_url,
    ];
    assert!(texts.into_iter().all(|text| text == Field::Remove));
    assert!(nulls.display_name.is_none() && nulls.languages.is_none());
}

#[test]
fn numbers_are_kept_to_the_bit() {
    for (text, expected) in [
        ("-0.0", -0.0_f64),
        ("-0", -0.0),
        ("0", 0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
        ("1e-400", 0.0),
        ("0.1", 0.1),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ("123456789012345678901234567890", 1.234_567_890_123_456_8e29),
    ] {
        let base = base("profile.created");
        let data = base.data.replacen("36", text, 1);
        let age = profile_of(&base.with_data(&data, Form::Binary)).age;
        assert_eq!(age, Some(Number(expected)), "{text}");
    }
}

#[test]
fn texts_are_kept_to_the_byte() {
    let base = base("profile.created");
    let data = base.data.replacen("Ada", r"\u0000\n\ud83d\ude00é\/", 1);
    let profile = profile_of(&base.with_data(&data, Form::Structured));
    assert_eq!(&*profile.display_name, "\0\n😀é/");
}

#[test]
fn versions_reach_to_the_largest_exact_double() {
    let version = |version| user_state_of(&user_state("u1", version, "w1").into()).1;
    assert_eq!(version(1), 1);
    assert_eq!(version(Version::MAX), Version::MAX);
    let beyond = user_state("u1", Version::MAX + 1, "w1");
    assert_eq!(
        fault(&beyond.into()),
        "data.entity.version: expected a whole number from 1 to 2^53 - 1"
    );
}

#[test]
fn profile_id_is_a_subject_token() {
    for bad in ["", "p.1", "p 1", "p*", "ä", &"p".repeat(65)] {
        let draft = profile_state("u1", bad, 1, &crate::testing::named("Ada"));
        assert_eq!(
            fault(&draft.into()),
            "data.entity.id: expected 1 to 64 characters of A-Z a-z 0-9 _ -",
            "{bad}"
        );
    }
}

#[test]
fn long_texts_are_legal_up_to_their_bounds() {
    let with_reason = |reason: &str| {
        let mut draft = dropped("u1", 7);
        draft.data["reason"] = json!(reason);
        fault(&draft.into())
    };
    assert_eq!(with_reason(""), "");
    assert_eq!(with_reason(&"é".repeat(200)), "");
    assert_eq!(
        with_reason(&"x".repeat(201)),
        "data.reason: expected at most 200 characters"
    );
    let with_identity = |identity: &str| fault(&user_state("u1", 1, identity).into());
    assert_eq!(with_identity(&"é".repeat(256)), "");
    assert_eq!(
        with_identity(&"x".repeat(257)),
        "data.state.workosUserId: expected 1 to 256 characters"
    );
    let mut long_bio = crate::testing::named("Ada");
    long_bio["bio"] = json!("x".repeat(100_000));
    assert_eq!(fault(&profile_state("u1", "p1", 1, &long_bio).into()), "");
}

#[test]
fn deletions_and_erasures_are_told_apart() {
    let change = |word| match event(&base(word).message(Form::Binary)) {
        Event::User { change, .. } => format!("{change:?}"),
        Event::Profile { change, .. } => format!("{change:?}"),
        Event::Dropped { user, sequence } => format!("{user} {sequence}"),
    };
    assert_eq!(change("user.deleted"), "Deleted { version: Version(3) }");
    assert_eq!(change("user.erased"), "Erased");
    assert_eq!(change("profile.deleted"), "Deleted { version: Version(3) }");
    assert_eq!(change("profile.erased"), "Erased");
    assert_eq!(change("quarantine"), "u1 7");
}
