//! A profile's row as the value of `profiles/queries:getCurrentUserProfile`.
//!
//! The service answers with it over HTTP and over sockets, and replays in tests compare with it.

use convex_wire::{Format, ObjectWriter, encode};
use domain::Gender;
use read_model::{Answer, AnsweredProfile, StorageError};

/// Appends the query's value, `null` without a profile: the members that the API document names, and no others.
pub fn write_profile(buffer: &mut Vec<u8>, format: Format, answered: Option<&AnsweredProfile<'_>>) {
    let Some(AnsweredProfile { user, id, profile }) = answered else {
        return encode::write_value(buffer, format, &convex_wire::Value::Null);
    };
    let mut object = ObjectWriter::new(buffer, format);
    object.string("_id", id);
    if let Some(age) = profile.age {
        object.float("age", age.0);
    }
    optional(&mut object, "bio", profile.bio);
    optional(&mut object, "company", profile.company);
    object.float("createdAt", profile.created_at.0);
    object.string("displayName", profile.display_name);
    optional(&mut object, "experience", profile.experience);
    optional(&mut object, "field", profile.field);
    optional(&mut object, "gender", profile.gender.map(Gender::as_str));
    optional(&mut object, "goals", profile.goals);
    optional(&mut object, "jobTitle", profile.job_title);
    object.strings("languages", profile.languages.iter().copied());
    optional(&mut object, "linkedinUrl", profile.linkedin_url);
    object.float("updatedAt", profile.updated_at.0);
    object.string("userId", user);
    object.finish();
}

/// The query's value as `/api/run` answers it.
pub fn value_of(answer: &Answer) -> Result<String, StorageError> {
    let mut buffer = Vec::new();
    write_profile(&mut buffer, Format::Clean, answer.profile()?.as_ref());
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

fn optional(object: &mut ObjectWriter<'_, 'static>, name: &'static str, text: Option<&str>) {
    if let Some(text) = text {
        object.string(name, text);
    }
}

#[cfg(test)]
mod tests {
    use domain::{Number, Profile};

    use super::*;

    #[test]
    fn every_member_in_the_order_of_names() {
        let text = Some;
        let profile = Profile {
            display_name: "Zoë \"Z\"",
            languages: Vec::new(),
            created_at: Number(0.5),
            updated_at: Number(1e21),
            age: Some(Number(30.0)),
            gender: Some(Gender::PreferNotToSay),
            bio: text("a bio"),
            company: text("a company"),
            experience: text("a experience"),
            field: text("a field"),
            goals: text("a goals"),
            job_title: text("a job title"),
            linkedin_url: text("a link"),
        };
        let answered = AnsweredProfile {
            user: "u",
            id: "p",
            profile,
        };
        let mut buffer = Vec::new();
        write_profile(&mut buffer, Format::Clean, Some(&answered));
        assert_eq!(
            String::from_utf8(buffer).unwrap(),
            r#"{"_id":"p","age":30.0,"bio":"a bio","company":"a company","createdAt":0.5,"displayName":"Zoë \"Z\"","experience":"a experience","field":"a field","gender":"prefer-not-to-say","goals":"a goals","jobTitle":"a job title","languages":[],"linkedinUrl":"a link","updatedAt":1e+21,"userId":"u"}"#
        );
    }
}
