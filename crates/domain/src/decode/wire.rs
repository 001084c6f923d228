//! The JSON shapes of the contract, as `schemas/` says them but for unknown members.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use super::json::{NOT_WHOLE, Object, present, whole};
use crate::{Field, Gender, Number, PackedProfile, Profile, ProfilePatch, Version, WorkosUserId};

/// Longest `reason`, in characters.
const REASON_CHARS_MAX: usize = 200;

/// A structured record. An attribute that is null counts as absent, as the JSON format of
/// `CloudEvents` has it.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) specversion: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) source: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) data: Option<&'a RawValue>,
    #[serde(rename = "time")]
    _time: Option<Text>,
    #[serde(rename = "dataschema")]
    _dataschema: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entity<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) user_id: Cow<'a, str>,
    pub(super) version: WholeVersion,
}

/// `entity` and the whole document.
#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub(super) struct StateData<'a, S> {
    #[serde(borrow)]
    pub(super) entity: Object<Entity<'a>>,
    pub(super) state: Object<S>,
    #[serde(default, deserialize_with = "present", rename = "changed")]
    _changed: Option<Vec<Text>>,
    #[serde(default, deserialize_with = "present", rename = "reason")]
    _reason: Option<Reason>,
}

/// `entity` and some members of the document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PatchData<'a> {
    #[serde(borrow)]
    pub(super) entity: Object<Entity<'a>>,
    pub(super) base_version: WholeVersion,
    pub(super) patch: Object<Patch>,
    #[serde(default, deserialize_with = "present", rename = "changed")]
    _changed: Option<Vec<Text>>,
    #[serde(default, deserialize_with = "present", rename = "reason")]
    _reason: Option<Reason>,
}

/// A deletion.
#[derive(Deserialize)]
pub(super) struct DeletedData<'a> {
    #[serde(borrow)]
    pub(super) entity: Object<Entity<'a>>,
    #[serde(rename = "deletedAt")]
    _deleted_at: f64,
    #[serde(default, deserialize_with = "present", rename = "changed")]
    _changed: Option<Vec<Text>>,
    #[serde(default, deserialize_with = "present", rename = "reason")]
    _reason: Option<Reason>,
}

/// An erasure.
#[derive(Deserialize)]
pub(super) struct ErasedData<'a> {
    #[serde(borrow)]
    pub(super) entity: Object<Entity<'a>>,
    #[serde(rename = "erasedAt")]
    _erased_at: f64,
    #[serde(rename = "requestId")]
    _request_id: Text,
}

/// An operator's decision.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DroppedData<'a> {
    #[serde(borrow)]
    pub(super) user_id: Cow<'a, str>,
    pub(super) sequence: WholeVersion,
    #[serde(rename = "reason")]
    _reason: Reason,
}

/// A user document. Only the identity is kept; the rest is checked and let go.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserState {
    #[serde(deserialize_with = "workos_id")]
    pub(super) workos_user_id: WorkosUserId,
    #[serde(rename = "email")]
    _email: Text,
    #[serde(rename = "isActive")]
    _is_active: bool,
    #[serde(rename = "createdAt")]
    _created_at: f64,
    #[serde(rename = "updatedAt")]
    _updated_at: f64,
    #[serde(default, deserialize_with = "present", rename = "orgId")]
    _org_id: Option<Text>,
    #[serde(default, deserialize_with = "present", rename = "orgRole")]
    _org_role: Option<Text>,
    #[serde(default, deserialize_with = "present", rename = "displayName")]
    _display_name: Option<Text>,
    #[serde(default, deserialize_with = "present", rename = "avatarUrl")]
    _avatar_url: Option<Text>,
    #[serde(default, deserialize_with = "present", rename = "lastSeenAt")]
    _last_seen_at: Option<f64>,
    #[serde(default, deserialize_with = "present", rename = "onboardingComplete")]
    _onboarding_complete: Option<bool>,
    #[serde(default, deserialize_with = "present", rename = "onboardingStartedAt")]
    _onboarding_started_at: Option<f64>,
    #[serde(
        default,
        deserialize_with = "present",
        rename = "onboardingCompletedAt"
    )]
    _onboarding_completed_at: Option<f64>,
}

/// A profile document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileState<'a> {
    #[serde(borrow)]
    display_name: Texted<'a>,
    #[serde(borrow)]
    languages: Vec<Texted<'a>>,
    created_at: f64,
    updated_at: f64,
    #[serde(default, deserialize_with = "present")]
    age: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    gender: Option<WireGender>,
    #[serde(borrow, default, deserialize_with = "present")]
    bio: Option<Texted<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    company: Option<Texted<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    experience: Option<Texted<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    field: Option<Texted<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    goals: Option<Texted<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    job_title: Option<Texted<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    linkedin_url: Option<Texted<'a>>,
}

impl From<Object<ProfileState<'_>>> for PackedProfile {
    fn from(Object(state): Object<ProfileState<'_>>) -> Self {
        Self::from(&Profile {
            display_name: state.display_name,
            languages: state.languages,
            created_at: Number(state.created_at),
            updated_at: Number(state.updated_at),
            age: state.age.map(Number),
            gender: state.gender.map(|gender| gender.0),
            bio: state.bio,
            company: state.company,
            experience: state.experience,
            field: state.field,
            goals: state.goals,
            job_title: state.job_title,
            linkedin_url: state.linkedin_url,
        })
    }
}

/// A patch: absent keeps, null removes (where the member is optional), a value sets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Patch {
    #[serde(default, deserialize_with = "present")]
    display_name: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    languages: Option<Vec<Box<str>>>,
    #[serde(default, deserialize_with = "present")]
    created_at: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    updated_at: Option<f64>,
    #[serde(default, deserialize_with = "nullable")]
    age: Field<f64>,
    #[serde(default, deserialize_with = "nullable")]
    gender: Field<WireGender>,
    #[serde(default, deserialize_with = "nullable")]
    bio: Field<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    company: Field<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    experience: Field<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    field: Field<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    goals: Field<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    job_title: Field<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    linkedin_url: Field<Box<str>>,
}

impl From<Object<Patch>> for ProfilePatch {
    fn from(Object(patch): Object<Patch>) -> Self {
        Self {
            display_name: patch.display_name,
            languages: patch.languages,
            created_at: patch.created_at.map(Number),
            updated_at: patch.updated_at.map(Number),
            age: patch.age.map(Number),
            gender: patch.gender.map(|gender| gender.0),
            bio: patch.bio,
            company: patch.company,
            experience: patch.experience,
            field: patch.field,
            goals: patch.goals,
            job_title: patch.job_title,
            linkedin_url: patch.linkedin_url,
        }
    }
}

fn nullable<'de, D, T>(deserializer: D) -> Result<Field<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.map_or(Field::Remove, Field::Set))
}

fn workos_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WorkosUserId, D::Error> {
    let Texted(text) = Texted::deserialize(deserializer)?;
    WorkosUserId::parse(&text).map_err(D::Error::custom)
}

/// A version or a sequence: a whole number from 1 to 2^53 - 1.
#[derive(Clone, Copy)]
pub(super) struct WholeVersion(Version);

impl WholeVersion {
    pub(super) fn version(self) -> Version {
        self.0
    }

    pub(super) fn get(self) -> u64 {
        self.0.get()
    }
}

impl<'de> Deserialize<'de> for WholeVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = whole(deserializer)?;
        Version::new(number)
            .map(Self)
            .ok_or_else(|| D::Error::custom(NOT_WHOLE))
    }
}

/// One of the four values of `gender`.
struct WireGender(Gender);

impl<'de> Deserialize<'de> for WireGender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Texted(text) = Texted::deserialize(deserializer)?;
        Gender::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

/// Any string, let go.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Texted::deserialize(deserializer).map(|_| Self)
    }
}

/// A remark of at most 200 characters, let go.
pub(super) struct Reason;

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Texted(text) = Texted::deserialize(deserializer)?;
        if text.chars().count() > REASON_CHARS_MAX {
            return Err(D::Error::custom("expected at most 200 characters"));
        }
        Ok(Self)
    }
}

/// A string, borrowed from the JSON where it has no escapes.
#[derive(Deserialize)]
struct Texted<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Texted<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
