//! The one query: which function is asked for, and a profile's row as its value.

use convex_wire::{Format, FunctionError, FunctionKind, FunctionPath, ObjectWriter, args, encode};
use domain::{Gender, WorkosUserId};
use read_model::{Answer, AnsweredProfile, StorageError};
use serde_json::value::RawValue;

use crate::QueryState;

/// The function's module, and its export.
const FUNCTION: (&str, &str) = ("profiles/queries", "getCurrentUserProfile");

/// How a route words that there is no such function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    /// As a route for anybody's functions.
    Any,
    /// As a route for public functions.
    Public,
}

/// Whether the query may run: it is the function asked for, called as what it is, with what it
/// takes.
pub(crate) fn check_call(
    path: FunctionPath,
    called: FunctionKind,
    wording: Wording,
    args: &RawValue,
) -> Result<(), FunctionError> {
    if path.is(FUNCTION.0, FUNCTION.1) {
        if called != FunctionKind::Query {
            return Err(FunctionError::NotA { path, called });
        }
        return Ok(args::check_empty(&path, args)?);
    }
    Err(match wording {
        Wording::Any => FunctionError::NotFound(path),
        Wording::Public if path.is_system() => FunctionError::NotPermitted(called),
        Wording::Public => FunctionError::NotPublic(path),
    })
}

impl QueryState {
    /// Runs the query. Nobody has no profile; the sequence is told all the same.
    pub(crate) fn profile_of(
        &self,
        subject: Option<&WorkosUserId>,
    ) -> Result<Answer, StorageError> {
        match subject {
            Some(subject) => self.reader.profile_of(subject),
            None => Ok(Answer {
                user: None,
                profile: None,
                sequence: self.progress.borrow().applied(),
            }),
        }
    }
}

/// Appends the query's value: the members that the API document names, and no others.
pub(crate) fn write_profile(
    buffer: &mut Vec<u8>,
    format: Format,
    answered: Option<&AnsweredProfile>,
) {
    let Some(AnsweredProfile { user, document }) = answered else {
        return encode::write_value(buffer, format, &convex_wire::Value::Null);
    };
    let profile = &document.profile;
    let mut object = ObjectWriter::new(buffer, format);
    object.string("_id", document.id.as_str());
    if let Some(age) = profile.age {
        object.float("age", age.0);
    }
    optional(&mut object, "bio", profile.bio.as_deref());
    optional(&mut object, "company", profile.company.as_deref());
    object.float("createdAt", profile.created_at.0);
    object.string("displayName", &profile.display_name);
    optional(&mut object, "experience", profile.experience.as_deref());
    optional(&mut object, "field", profile.field.as_deref());
    optional(&mut object, "gender", profile.gender.map(Gender::as_str));
    optional(&mut object, "goals", profile.goals.as_deref());
    optional(&mut object, "jobTitle", profile.job_title.as_deref());
    object.strings(
        "languages",
        profile.languages.iter().map(|language| &**language),
    );
    optional(&mut object, "linkedinUrl", profile.linkedin_url.as_deref());
    object.float("updatedAt", profile.updated_at.0);
    object.string("userId", user.as_str());
    object.finish();
}

fn optional(object: &mut ObjectWriter<'_, 'static>, name: &'static str, text: Option<&str>) {
    if let Some(text) = text {
        object.string(name, text);
    }
}

#[cfg(test)]
mod tests {
    use domain::{LiveProfile, Number, Profile, ProfileId, UserId, Version};

    use super::*;

    #[test]
    fn every_member_in_the_order_of_names() {
        let text = |name: &str| Some(format!("a {name}").into());
        let profile = Profile {
            display_name: "Zoë \"Z\"".into(),
            languages: Vec::new(),
            created_at: Number(0.5),
            updated_at: Number(1e21),
            age: Some(Number(30.0)),
            gender: Some(Gender::PreferNotToSay),
            bio: text("bio"),
            company: text("company"),
            experience: text("experience"),
            field: text("field"),
            goals: text("goals"),
            job_title: text("job title"),
            linkedin_url: text("link"),
        };
        let answered = AnsweredProfile {
            user: UserId::parse("u").unwrap(),
            document: LiveProfile {
                id: ProfileId::parse("p").unwrap(),
                version: Version::new(1).unwrap(),
                profile,
            },
        };
        let mut buffer = Vec::new();
        write_profile(&mut buffer, Format::Clean, Some(&answered));
        assert_eq!(
            String::from_utf8(buffer).unwrap(),
            r#"{"_id":"p","age":30.0,"bio":"a bio","company":"a company","createdAt":0.5,"displayName":"Zoë \"Z\"","experience":"a experience","field":"a field","gender":"prefer-not-to-say","goals":"a goals","jobTitle":"a job title","languages":[],"linkedinUrl":"a link","updatedAt":1e+21,"userId":"u"}"#
        );
    }
}
