//! The decoder's own tables of members against those of `schemas/`: neither knows one more. What each
//! member may hold is compared by the producers' checker, which has a validator.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::super::wire;
use super::BASES;

/// Hears which members a derived type asks for.
struct Members<'a>(&'a mut BTreeSet<String>);

impl<'de> Deserializer<'de> for Members<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("heard"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields.iter().map(ToString::to_string));
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}

fn decoded_members<T: Deserialize<'static>>() -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    let heard = T::deserialize(Members(&mut members));
    assert!(heard.is_err() && !members.is_empty());
    members
}

fn schema(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/events");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn members_at(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let object = schema.pointer(pointer).unwrap();
    // A member that the schema does not name is refused there and ignored by the decoder.
    assert_eq!(object["additionalProperties"], false, "{pointer}");
    object["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn decoder_and_schemas_know_the_same_members() {
    let common = schema("common");
    for (of, decoded) in [
        ("userEntity", decoded_members::<wire::Entity>()),
        ("profileEntity", decoded_members::<wire::Entity>()),
        ("userState", decoded_members::<wire::UserState>()),
        ("profileState", decoded_members::<wire::ProfileState>()),
        ("profilePatch", decoded_members::<wire::Patch>()),
    ] {
        assert_eq!(
            members_at(&common, &format!("/$defs/{of}")),
            decoded,
            "{of}"
        );
    }
    let state = || decoded_members::<wire::StateData<wire::UserState>>();
    for (kind, decoded) in [
        ("user.registered", state()),
        ("user.updated", state()),
        ("user.deactivated", state()),
        ("user.reactivated", state()),
        ("user.deleted", decoded_members::<wire::DeletedData>()),
        ("user.erased", decoded_members::<wire::ErasedData>()),
        ("profile.created", state()),
        ("profile.updated", state()),
        ("profile.patched", decoded_members::<wire::PatchData>()),
        ("profile.deleted", decoded_members::<wire::DeletedData>()),
        ("profile.erased", decoded_members::<wire::ErasedData>()),
        ("quarantine.dropped", decoded_members::<wire::DroppedData>()),
    ] {
        let schema = schema(&format!("app.connvo.{kind}.v1"));
        assert_eq!(members_at(&schema, "/$defs/data"), decoded, "{kind}");
        let mut attributes = members_at(&schema, "");
        // For tracing tools; the decoder does not look at them.
        assert!(attributes.remove("traceparent") && attributes.remove("tracestate"));
        assert_eq!(attributes, decoded_members::<wire::Envelope>(), "{kind}");
    }
}

#[test]
fn there_is_a_schema_for_every_type_that_is_decoded_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/events");
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kinds: Vec<String> = names
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .filter(|name| name != "common")
        .collect();
    assert_eq!(kinds.len(), 12);
    for kind in &kinds {
        assert_eq!(schema(kind)["properties"]["type"]["const"], **kind);
        let (_, word) = kind.split_once("app.connvo.").unwrap();
        let family = word.split('.').next().unwrap();
        let base = BASES
            .iter()
            .find(|base| base.kind.contains(family))
            .unwrap();
        let message = base
            .message(crate::testing::Form::Binary)
            .headers
            .into_iter()
            .filter(|(name, _)| name != "ce-type")
            .fold(
                crate::testing::Message::bare(base.subject, base.data),
                |message, (name, value)| message.header(&name, &value),
            )
            .header("ce-type", kind);
        assert_ne!(super::fault(&message), "unknown type", "{kind}");
    }
}
