//! `profiles`: user id to the live profile, the tombstones of others, and what is parked.

use domain::{Gender, Gone, LiveProfile, Number, Profile, ProfileRow, Version};

use super::{read_profile_id, read_summary, read_version, write_summary};
use crate::codec::{Cursor, Problem, Writer};

const NONE: u8 = 0;
const LIVE: u8 = 1;

/// In place of a tombstone's version.
const ERASED: u64 = 0;

/// The row's bytes; `None` for a row that holds nothing.
pub(crate) fn write(row: &ProfileRow, to: &mut Vec<u8>) -> Option<()> {
    if *row == ProfileRow::default() {
        return None;
    }
    let mut to = Writer(to);
    match &row.live {
        None => to.byte(NONE),
        Some(live) => {
            to.byte(LIVE);
            to.text(live.id.as_str());
            to.number(live.version.get());
            write_profile(&live.profile, &mut to);
        }
    }
    to.length(row.gone.len());
    for (id, gone) in &row.gone {
        to.text(id.as_str());
        to.number(match gone {
            Gone::Deleted(version) => version.get(),
            Gone::Erased => ERASED,
        });
    }
    write_summary(&row.parked, &mut to);
    Some(())
}

pub(crate) fn read(bytes: &[u8]) -> Result<ProfileRow, Problem> {
    let mut from = Cursor(bytes);
    let mut row = ProfileRow {
        live: read_live(&mut from)?,
        ..ProfileRow::default()
    };
    for _ in 0..from.length()? {
        let id = read_profile_id(&mut from)?;
        let gone = match from.number()? {
            ERASED => Gone::Erased,
            version => Gone::Deleted(Version::new(version).ok_or("a version is out of range")?),
        };
        row.gone.push((id, gone));
    }
    row.parked = read_summary(&mut from)?;
    from.end()?;
    Ok(row)
}

fn read_live(from: &mut Cursor<'_>) -> Result<Option<LiveProfile>, Problem> {
    if !is_live(from)? {
        return Ok(None);
    }
    Ok(Some(LiveProfile {
        id: read_profile_id(from)?,
        version: read_version(from)?,
        profile: read_profile(from)?,
    }))
}

/// The live profile's id and members, where they lie: what a reader wants.
pub(crate) fn read_answer(bytes: &[u8]) -> Result<Option<(&str, Profile<&str>)>, Problem> {
    let mut from = Cursor(bytes);
    if from.is_empty() || !is_live(&mut from)? {
        return Ok(None);
    }
    let id = from.text()?;
    let _version = from.number()?;
    Ok(Some((id, read_profile(&mut from)?)))
}

fn is_live(from: &mut Cursor<'_>) -> Result<bool, Problem> {
    match from.byte()? {
        NONE => Ok(false),
        LIVE => Ok(true),
        _ => Err("the kind of profile is unknown"),
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

fn texts(profile: &Profile) -> [(u64, Option<&str>); 7] {
    [
        (BIO, profile.bio.as_deref()),
        (COMPANY, profile.company.as_deref()),
        (EXPERIENCE, profile.experience.as_deref()),
        (FIELD, profile.field.as_deref()),
        (GOALS, profile.goals.as_deref()),
        (JOB_TITLE, profile.job_title.as_deref()),
        (LINKEDIN_URL, profile.linkedin_url.as_deref()),
    ]
}

fn write_profile(profile: &Profile, to: &mut Writer<'_>) {
    let texts = texts(profile);
    let mut there = texts
        .iter()
        .filter(|(_, text)| text.is_some())
        .fold(0, |all, (bit, _)| all | bit);
    there |= if profile.age.is_some() { AGE } else { 0 };
    there |= if profile.gender.is_some() { GENDER } else { 0 };
    to.number(there);
    to.double(profile.created_at.0);
    to.double(profile.updated_at.0);
    to.text(&profile.display_name);
    to.length(profile.languages.len());
    for language in &profile.languages {
        to.text(language);
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

/// The members, their texts as copies or where they lie.
fn read_profile<'r, T: From<&'r str>>(from: &mut Cursor<'r>) -> Result<Profile<T>, Problem> {
    let there = from.number()?;
    if there & !KNOWN != 0 {
        return Err("a profile has unknown members");
    }
    let created_at = Number(from.double()?);
    let updated_at = Number(from.double()?);
    let display_name = from.text()?.into();
    let languages = (0..from.length()?)
        .map(|_| from.text().map(T::from))
        .collect::<Result<_, _>>()?;
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
        if there & bit == 0 {
            Ok(None)
        } else {
            from.text().map(|text| Some(text.into()))
        }
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
