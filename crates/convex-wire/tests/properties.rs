//! What holds for every value and for every bytes of a client (W4).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use convex_wire::args::check_empty;
use convex_wire::encode::write_value;
use convex_wire::request::{
    QueryBatchArgs, UdfPostRequest, UdfPostRequestArgsOnly, UdfPostWithTsRequest, is_json,
    parse_body,
};
use convex_wire::{ClientVersion, Format, FunctionPath, Timestamp, Value, path};
use proptest::prelude::*;
use serde_json::value::RawValue;

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(-0.0),
        Just(f64::INFINITY)
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int64),
        floats().prop_map(Value::Float64),
        any::<String>().prop_map(Value::String),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let name = "[ -#%-~][ -~]{0,8}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(name, inner, 0..5).prop_map(Value::Object),
        ]
    })
}

fn write(format: Format, value: &Value) -> Vec<u8> {
    let mut buffer = Vec::new();
    write_value(&mut buffer, format, value);
    buffer
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_encoded_form_keeps_everything(value in values()) {
        let encoded = write(Format::Encoded, &value);
        let decoded = Value::from_json(serde_json::from_slice(&encoded).unwrap()).unwrap();
        // NaN is not equal to itself, its bytes are.
        prop_assert_eq!(write(Format::Encoded, &decoded), encoded);
        prop_assert_eq!(format!("{decoded:?}"), format!("{value:?}"));
    }

    #[test]
    fn every_form_is_json_and_every_value_prints(value in values()) {
        for format in [Format::Clean, Format::Export] {
            let json: serde_json::Value = serde_json::from_slice(&write(format, &value)).unwrap();
            drop(json);
        }
        prop_assert!(!value.to_string().is_empty());
        prop_assert!(value.size() > 0);
    }

    #[test]
    fn a_path_means_the_same_when_printed(module in "[a-z][a-z_]{0,8}(/[a-z0-9]{1,9}){0,3}", export in "[a-zA-Z_][a-z0-9]{1,9}") {
        let path = FunctionPath::parse(&format!("{module}:{export}")).unwrap();
        prop_assert_eq!(&FunctionPath::parse(&path.to_string()).unwrap(), &path);
        prop_assert_eq!(&FunctionPath::parse(&path.canonical().to_string()).unwrap(), &path);
    }

    #[test]
    fn a_timestamp_survives_the_wire(nanos: u64) {
        prop_assert_eq!(Timestamp::parse(&Timestamp(nanos).to_string()), Ok(Timestamp(nanos)));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,80}|[-a-z0-9./:%_$]{0,80}") {
        let _ = FunctionPath::parse(&text);
        let _ = path::decode_url_tail(&text).map(|tail| FunctionPath::parse_url_tail(&tail));
        let _ = ClientVersion::parse(&text).map(|client| client.support());
        let _ = ClientVersion::from_url_segment(&text);
        let _ = Format::parse(&text);
        let _ = Timestamp::parse(&text);
    }

    #[test]
    fn no_bytes_make_a_body_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = is_json(Some(&body));
        let _ = parse_body::<UdfPostRequest>(&body).map_err(|error| error.to_string());
        let _ = parse_body::<UdfPostRequestArgsOnly>(&body);
        let _ = parse_body::<UdfPostWithTsRequest>(&body);
        let _ = parse_body::<QueryBatchArgs>(&body);
    }

    #[test]
    fn no_json_makes_arguments_panic(value in values(), cut in any::<prop::sample::Index>()) {
        let path = FunctionPath::parse("a:b").unwrap();
        let text = String::from_utf8(write(Format::Encoded, &value)).unwrap();
        let cut = text.char_indices().nth(cut.index(text.chars().count())).unwrap().0;
        for text in [&text[..cut], &text] {
            if let Ok(raw) = serde_json::from_str::<Box<RawValue>>(text) {
                let _ = check_empty(&path, &raw).map_err(|fault| fault.to_string());
            }
        }
    }
}
