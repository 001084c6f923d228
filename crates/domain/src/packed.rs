//! Profiles as bytes: one form for each, so that a profile is compared, hashed and stored as it lies. Taken
//! apart it is seven allocations, and most are replaced before anybody looks at them.

use std::fmt;

use crate::codec::{Cursor, Problem, Writer};
use crate::{Gender, Number, Profile};

/// A profile in one piece. Two are equal when all their members are. `Debug` shows none of them (D5).
#[derive(Clone, PartialEq, Eq)]
pub struct PackedProfile(Vec<u8>);

impl fmt::Debug for PackedProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PackedProfile(..)")
    }
}

impl<T: AsRef<str>> From<&Profile<T>> for PackedProfile {
    fn from(profile: &Profile<T>) -> Self {
        let texts = texts(profile);
        let present = texts.iter().filter_map(|(_, text)| *text);
        let languages = profile.languages.iter().map(AsRef::as_ref);
        let bytes: usize = present.chain(languages).map(|text| text.len() + 3).sum();
        let mut packed = Vec::with_capacity(bytes + profile.display_name.as_ref().len() + 32);
        write(profile, texts, &mut Writer(&mut packed));
        Self(packed)
    }
}

impl PackedProfile {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its members, where they lie.
    pub fn members(&self) -> Profile<&str> {
        // What is here was written from members, or has been looked through.
        read_members(&mut Cursor(&self.0)).unwrap_or_default()
    }

    /// Takes the one that a row goes on with.
    pub fn take(from: &mut Cursor<'_>) -> Result<Self, Problem> {
        let row = from.0;
        pass(from)?;
        let (packed, _) = row.split_at(row.len() - from.0.len());
        Ok(Self(packed.to_vec()))
    }
}

// One bit an optional member, in the order in which the members are written. Pinned.
const AGE: u64 = 1 << 0;
const GENDER: u64 = 1 << 1;
const BIO: u64 = 1 << 2;
const COMPANY: u64 = 1 << 3;
const EXPERIENCE: u64 = 1 << 4;
const FIELD: u64 = 1 << 5;
const GOALS: u64 = 1 << 6;
const JOB_TITLE: u64 = 1 << 7;
const LINKEDIN_URL: u64 = 1 << 8;
const KNOWN: u64 = (1 << 9) - 1;

fn texts<T: AsRef<str>>(profile: &Profile<T>) -> [(u64, Option<&str>); 7] {
    fn text<T: AsRef<str>>(member: Option<&T>) -> Option<&str> {
        member.map(AsRef::as_ref)
    }
    [
        (BIO, text(profile.bio.as_ref())),
        (COMPANY, text(profile.company.as_ref())),
        (EXPERIENCE, text(profile.experience.as_ref())),
        (FIELD, text(profile.field.as_ref())),
        (GOALS, text(profile.goals.as_ref())),
        (JOB_TITLE, text(profile.job_title.as_ref())),
        (LINKEDIN_URL, text(profile.linkedin_url.as_ref())),
    ]
}

fn write<T: AsRef<str>>(
    profile: &Profile<T>,
    texts: [(u64, Option<&str>); 7],
    to: &mut Writer<'_>,
) {
    let mut there = texts
        .iter()
        .filter(|(_, text)| text.is_some())
        .fold(0, |all, (bit, _)| all | bit);
    there |= if profile.age.is_some() { AGE } else { 0 };
    there |= if profile.gender.is_some() { GENDER } else { 0 };
    to.number(there);
    to.double(profile.created_at.0);
    to.double(profile.updated_at.0);
    to.text(profile.display_name.as_ref());
    to.length(profile.languages.len());
    for language in &profile.languages {
        to.text(language.as_ref());
    }
    if let Some(age) = profile.age {
        to.double(age.0);
    }
    if let Some(gender) = profile.gender {
        to.byte(gender_code(gender));
    }
    for text in texts.into_iter().filter_map(|(_, text)| text) {
        to.text(text);
    }
}

fn read_there(from: &mut Cursor<'_>) -> Result<u64, Problem> {
    let there = from.number()?;
    if there & !KNOWN != 0 {
        return Err("a profile has unknown members");
    }
    Ok(there)
}

/// The members of the profile that a row goes on with, where they lie.
pub fn read_members<'r>(from: &mut Cursor<'r>) -> Result<Profile<&'r str>, Problem> {
    let there = read_there(from)?;
    let created_at = Number(from.double()?);
    let updated_at = Number(from.double()?);
    let display_name = from.text()?;
    let languages = (0..from.length()?).map(|_| from.text());
    let languages = languages.collect::<Result<_, _>>()?;
    let age = if there & AGE == 0 {
        None
    } else {
        Some(Number(from.double()?))
    };
    let gender = if there & GENDER == 0 {
        None
    } else {
        Some(read_gender(from.byte()?)?)
    };
    let mut text = |bit| {
        let is_there = there & bit != 0;
        is_there.then(|| from.text()).transpose()
    };
    Ok(Profile {
        display_name,
        languages,
        created_at,
        updated_at,
        age,
        gender,
        bio: text(BIO)?,
        company: text(COMPANY)?,
        experience: text(EXPERIENCE)?,
        field: text(FIELD)?,
        goals: text(GOALS)?,
        job_title: text(JOB_TITLE)?,
        linkedin_url: text(LINKEDIN_URL)?,
    })
}

/// Reads over a profile, with an eye on everything that [`read_members`] may find wrong.
fn pass(from: &mut Cursor<'_>) -> Result<(), Problem> {
    let there = read_there(from)?;
    let _created_and_updated = (from.double()?, from.double()?);
    from.text()?;
    for _ in 0..from.length()? {
        from.text()?;
    }
    if there & AGE != 0 {
        from.double()?;
    }
    if there & GENDER != 0 {
        read_gender(from.byte()?)?;
    }
    for _ in 0..(there & !(AGE | GENDER)).count_ones() {
        from.text()?;
    }
    Ok(())
}

fn gender_code(gender: Gender) -> u8 {
    match gender {
        Gender::Male => 0,
        Gender::Female => 1,
        Gender::NonBinary => 2,
        Gender::PreferNotToSay => 3,
    }
}

fn read_gender(code: u8) -> Result<Gender, Problem> {
    match code {
        0 => Ok(Gender::Male),
        1 => Ok(Gender::Female),
        2 => Ok(Gender::NonBinary),
        3 => Ok(Gender::PreferNotToSay),
        _ => Err("a gender is unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_what_was_packed_whichever_members_it_has() {
        for there in 0..=KNOWN {
            let text = |bit, text| (there & bit != 0).then_some(text);
            let profile = Profile {
                display_name: "Zoë",
                languages: vec!["en"; usize::from(there % 3 == 1)],
                created_at: Number(-0.0),
                updated_at: Number(1e21),
                age: text(AGE, "").map(|_| Number(0.5)),
                gender: text(GENDER, "").map(|_| Gender::NonBinary),
                bio: text(BIO, ""),
                company: text(COMPANY, "c"),
                experience: text(EXPERIENCE, "e"),
                field: text(FIELD, "f"),
                goals: text(GOALS, "g"),
                job_title: text(JOB_TITLE, "j"),
                linkedin_url: text(LINKEDIN_URL, "l"),
            };
            let packed = PackedProfile::from(&profile);
            assert!(packed.members() == profile);
            let mut row = packed.as_bytes().to_vec();
            row.push(7);
            let mut from = Cursor(&row);
            assert!(PackedProfile::take(&mut from) == Ok(packed.clone()));
            assert_eq!(from.0, [7]);
            for length in 0..packed.as_bytes().len() {
                let (cut, _) = row.split_at(length);
                assert!(PackedProfile::take(&mut Cursor(cut)).is_err());
                assert!(read_members(&mut Cursor(cut)).is_err());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_profile_are_none_to_both_readings() {
        let profile = Profile {
            display_name: "Ada",
            gender: Some(Gender::Male),
            bio: Some("bio"),
            ..Profile::default()
        };
        let packed = PackedProfile::from(&profile);
        for at in 0..packed.as_bytes().len() {
            for bit in 0..8 {
                let mut bytes = packed.as_bytes().to_vec();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
                let (mut one, mut other) = (Cursor(&bytes), Cursor(&bytes));
                let (taken, read) = (PackedProfile::take(&mut one), read_members(&mut other));
                assert_eq!((taken.is_ok(), one.0), (read.is_ok(), other.0));
                if let (Ok(taken), Ok(read)) = (taken, read) {
                    assert!(taken.members() == read);
                }
            }
        }
    }
}
