//! The profile document, as far as the answer shows it.

use std::fmt;

/// A JSON number: an IEEE double. Two are equal when their bits are, so that `-0.0` is not `0.0`.
#[derive(Debug, Clone, Copy)]
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
#[derive(Clone, PartialEq, Eq)]
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

impl Profile<&str> {
    /// The same profile with texts of its own.
    pub fn into_owned(self) -> Profile {
        Profile {
            display_name: self.display_name.into(),
            languages: self.languages.into_iter().map(Into::into).collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            age: self.age,
            gender: self.gender,
            bio: self.bio.map(Into::into),
            company: self.company.map(Into::into),
            experience: self.experience.map(Into::into),
            field: self.field.map(Into::into),
            goals: self.goals.map(Into::into),
            job_title: self.job_title.map(Into::into),
            linkedin_url: self.linkedin_url.map(Into::into),
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

    fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Remove => *to = None,
            Self::Set(value) => *to = Some(value),
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

fn set<T>(value: Option<T>, to: &mut T) {
    if let Some(value) = value {
        *to = value;
    }
}

impl ProfilePatch {
    /// The profile with this patch applied.
    pub fn applied_to(self, profile: &Profile) -> Profile {
        let mut patched = profile.clone();
        set(self.display_name, &mut patched.display_name);
        set(self.languages, &mut patched.languages);
        set(self.created_at, &mut patched.created_at);
        set(self.updated_at, &mut patched.updated_at);
        self.age.apply(&mut patched.age);
        self.gender.apply(&mut patched.gender);
        self.bio.apply(&mut patched.bio);
        self.company.apply(&mut patched.company);
        self.experience.apply(&mut patched.experience);
        self.field.apply(&mut patched.field);
        self.goals.apply(&mut patched.goals);
        self.job_title.apply(&mut patched.job_title);
        self.linkedin_url.apply(&mut patched.linkedin_url);
        patched
    }
}
