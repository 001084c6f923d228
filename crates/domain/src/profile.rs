//! The profile document, as far as the answer shows it.

use std::fmt;

/// A JSON number: an IEEE double. Two are equal when their bits are, so that `-0.0` is not `0.0`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

/// The values of a profile's `gender`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the values")]
pub enum Gender {
    Male,
    Female,
    NonBinary,
    PreferNotToSay,
}

/// A text that is none of the four values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected male, female, non-binary or prefer-not-to-say")]
pub struct InvalidGender;

impl Gender {
    /// Takes one of the four values as the contract writes them.
    pub fn parse(text: &str) -> Result<Self, InvalidGender> {
        match text {
            "male" => Ok(Self::Male),
            "female" => Ok(Self::Female),
            "non-binary" => Ok(Self::NonBinary),
            "prefer-not-to-say" => Ok(Self::PreferNotToSay),
            _ => Err(InvalidGender),
        }
    }

    /// As the contract writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
            Self::NonBinary => "non-binary",
            Self::PreferNotToSay => "prefer-not-to-say",
        }
    }
}

/// A profile's members but for its ids, its texts owned or borrowed. `Debug` shows none of them (D5).
#[derive(Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the members' names are the contract's")]
pub struct Profile<T = Box<str>> {
    pub display_name: T,
    pub languages: Vec<T>,
    pub created_at: Number,
    pub updated_at: Number,
    pub age: Option<Number>,
    pub gender: Option<Gender>,
    pub bio: Option<T>,
    pub company: Option<T>,
    pub experience: Option<T>,
    pub field: Option<T>,
    pub goals: Option<T>,
    pub job_title: Option<T>,
    pub linkedin_url: Option<T>,
}

impl<T: AsRef<str>> Profile<T> {
    /// The same profile, its texts made anew by `text`.
    pub fn map<'p, U>(&'p self, text: impl Fn(&'p str) -> U) -> Profile<U> {
        let optional = |member: &'p Option<T>| member.as_ref().map(|member| text(member.as_ref()));
        Profile {
            display_name: text(self.display_name.as_ref()),
            languages: self
                .languages
                .iter()
                .map(|one| text(one.as_ref()))
                .collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            age: self.age,
            gender: self.gender,
            bio: optional(&self.bio),
            company: optional(&self.company),
            experience: optional(&self.experience),
            field: optional(&self.field),
            goals: optional(&self.goals),
            job_title: optional(&self.job_title),
            linkedin_url: optional(&self.linkedin_url),
        }
    }
}

impl<T> fmt::Debug for Profile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(..)")
    }
}

/// What a patch does to an optional member.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// The member was absent from the patch.
    #[default]
    Keep,
    /// The member was null.
    Remove,
    /// The member had a value.
    Set(T),
}

impl<T> Field<T> {
    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Keep => Field::Keep,
            Self::Remove => Field::Remove,
            Self::Set(value) => Field::Set(with(value)),
        }
    }

    /// The member with this change, `to` being what it is set to.
    fn applied<'f, U>(&'f self, member: Option<U>, to: impl FnOnce(&'f T) -> U) -> Option<U> {
        match self {
            Self::Keep => member,
            Self::Remove => None,
            Self::Set(value) => Some(to(value)),
        }
    }
}

/// Changes to a profile's members. `None` and [`Field::Keep`] leave a member as it is; a required
/// member can be set but not removed.
#[derive(Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the members' names are the contract's")]
pub struct ProfilePatch {
    pub display_name: Option<Box<str>>,
    pub languages: Option<Vec<Box<str>>>,
    pub created_at: Option<Number>,
    pub updated_at: Option<Number>,
    pub age: Field<Number>,
    pub gender: Field<Gender>,
    pub bio: Field<Box<str>>,
    pub company: Field<Box<str>>,
    pub experience: Field<Box<str>>,
    pub field: Field<Box<str>>,
    pub goals: Field<Box<str>>,
    pub job_title: Field<Box<str>>,
    pub linkedin_url: Field<Box<str>>,
}

impl fmt::Debug for ProfilePatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProfilePatch(..)")
    }
}

impl ProfilePatch {
    /// The profile with this patch applied.
    pub fn applied_to<'p>(&'p self, profile: Profile<&'p str>) -> Profile<&'p str> {
        fn text<'p>(patch: &'p Field<Box<str>>, member: Option<&'p str>) -> Option<&'p str> {
            patch.applied(member, |text| text)
        }
        Profile {
            display_name: self.display_name.as_deref().unwrap_or(profile.display_name),
            languages: self
                .languages
                .as_ref()
                .map_or(profile.languages, |languages| {
                    languages.iter().map(|language| &**language).collect()
                }),
            created_at: self.created_at.unwrap_or(profile.created_at),
            updated_at: self.updated_at.unwrap_or(profile.updated_at),
            age: self.age.applied(profile.age, |age| *age),
            gender: self.gender.applied(profile.gender, |gender| *gender),
            bio: text(&self.bio, profile.bio),
            company: text(&self.company, profile.company),
            experience: text(&self.experience, profile.experience),
            field: text(&self.field, profile.field),
            goals: text(&self.goals, profile.goals),
            job_title: text(&self.job_title, profile.job_title),
            linkedin_url: text(&self.linkedin_url, profile.linkedin_url),
        }
    }
}
