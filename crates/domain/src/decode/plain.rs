//! JSON without escapes and control characters, which is what nearly all producers send, in one pass.
//!
//! It reads less than JSON, and never more: what it does not take as it stands, right or wrong, is left to
//! `serde_json`, which says what it is. So it has no messages, and strings lie where they came.

use std::fmt;

use memchr::memchr;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// What the text is; `None` if that is for another to say.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    // Without a branch for each byte.
    let is_left = |b: u8| u8::from(b < b' ') | u8::from(b == b'\\');
    if text.bytes().fold(0, |so_far, b| so_far | is_left(b)) != 0 {
        return None;
    }
    let mut plain = Plain { text, at: 0 };
    let read = T::deserialize(&mut plain).ok()?;
    plain.peek().is_none().then_some(read)
}

/// Not taken.
#[derive(Debug)]
struct Left;

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not read")
    }
}

impl std::error::Error for Left {}

impl Error for Left {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Plain<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Plain<'a> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Left> {
        if self.peek() != Some(byte) {
            return Err(Left);
        }
        self.at += 1;
        Ok(())
    }

    fn word<T>(&mut self, word: &str, value: T) -> Result<T, Left> {
        let rest = self.text.get(self.at..).ok_or(Left)?;
        if !rest.starts_with(word) {
            return Err(Left);
        }
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<&'a str, Left> {
        self.expect(b'"')?;
        let from = self.at;
        let rest = self.text.as_bytes().get(from..).ok_or(Left)?;
        let to = from + memchr(b'"', rest).ok_or(Left)?;
        self.at = to + 1;
        self.text.get(from..to).ok_or(Left)
    }

    fn number<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Left> {
        let rest = self.text.get(self.at..).ok_or(Left)?;
        let (mut whole, mut digits) = (0_u64, 0);
        for byte in rest.bytes().take_while(u8::is_ascii_digit).take(DIGITS_MAX) {
            whole = whole * 10 + u64::from(byte - b'0');
            digits += 1;
        }
        let goes_on = rest
            .as_bytes()
            .get(digits)
            .copied()
            .is_some_and(is_of_number);
        if !goes_on && (digits == 1 || !rest.starts_with('0')) && digits != 0 {
            self.at += digits;
            return visitor.visit_u64(whole);
        }
        let length = rest.bytes().position(|byte| !is_of_number(byte));
        let number = rest.get(..length.unwrap_or(rest.len())).ok_or(Left)?;
        self.at += number.len();
        visitor.visit_f64(double(number).ok_or(Left)?)
    }
}

/// Digits that no 64 bits can be too few for.
const DIGITS_MAX: usize = 18;

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// A number that JSON knows and a double can hold.
fn double(text: &str) -> Option<f64> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.strip_prefix(['+', '-']).unwrap_or(exponent),
        ),
        None => (unsigned, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_number = is_digits(whole) && is_digits(fraction) && is_digits(exponent);
    if !is_number || (whole.starts_with('0') && whole != "0") {
        return None;
    }
    text.parse().ok().filter(|double: &f64| double.is_finite())
}

impl<'de> Deserializer<'de> for &mut Plain<'de> {
    type Error = Left;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        match self.peek().ok_or(Left)? {
            b'"' => visitor.visit_borrowed_str(self.string()?),
            b'0'..=b'9' | b'-' => self.number(visitor),
            b't' => visitor.visit_bool(self.word("true", true)?),
            b'f' => visitor.visit_bool(self.word("false", false)?),
            b'n' => self.word("null", ()).and_then(|()| visitor.visit_unit()),
            _ => Err(Left),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        if self.peek() == Some(b'n') {
            self.word("null", ())?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Left> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        self.expect(b'[')?;
        let read = visitor.visit_seq(Parts::of(self, b']'))?;
        self.expect(b']')?;
        Ok(read)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        self.expect(b'{')?;
        let read = visitor.visit_map(Parts::of(self, b'}'))?;
        self.expect(b'}')?;
        Ok(read)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct struct enum identifier ignored_any
    }
}

/// What stands between brackets, with commas between.
struct Parts<'p, 'a> {
    plain: &'p mut Plain<'a>,
    end: u8,
    is_first: bool,
}

impl<'p, 'a> Parts<'p, 'a> {
    fn of(plain: &'p mut Plain<'a>, end: u8) -> Self {
        Self {
            plain,
            end,
            is_first: true,
        }
    }

    /// Whether another part follows; goes over the comma before it.
    fn go_on(&mut self) -> Result<bool, Left> {
        if self.plain.peek() == Some(self.end) {
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_first) {
            self.plain.expect(b',')?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Left;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Left> {
        if !self.go_on()? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.plain).map(Some)
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = Left;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Left> {
        if !self.go_on()? {
            return Ok(None);
        }
        if self.plain.peek() != Some(b'"') {
            return Err(Left);
        }
        seed.deserialize(&mut *self.plain).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Left> {
        self.plain.expect(b':')?;
        seed.deserialize(&mut *self.plain)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::decode::json::{Object, present, whole};
    use crate::decode::wire::{ProfileState, StateData, UserState};
    use crate::testing::workload;

    /// A member of each kind that the contract has.
    #[derive(Debug, PartialEq, Deserialize)]
    struct All<'a> {
        #[serde(deserialize_with = "whole")]
        whole: u64,
        double: f64,
        #[serde(borrow, default, deserialize_with = "present")]
        text: Option<&'a str>,
        is: Option<bool>,
        #[serde(default)]
        texts: Vec<String>,
    }

    /// What is read here is what `serde_json` reads; whether it was.
    fn is_read(text: &str) -> bool {
        let Some(Object(read)) = super::read::<Object<All<'_>>>(text) else {
            return false;
        };
        let Object(other) = serde_json::from_str::<Object<All<'_>>>(text).unwrap();
        assert_eq!(read.double.to_bits(), other.double.to_bits(), "{text}");
        assert_eq!(read, other, "{text}");
        true
    }

    #[test]
    fn reads_what_producers_send_and_leaves_the_rest() {
        for (text, expected) in [
            (r#"{"whole":1,"double":2}"#, true),
            (
                r#" { "whole" : 7.0 , "double":-2.5e-3 , "text":"a, {b}: ü" } "#,
                true,
            ),
            (r#"{"double":1e400,"whole":1}"#, false),
            (
                r#"{"double":-0,"whole":1,"is":null,"texts":["a", ""],"more":true}"#,
                true,
            ),
            (
                r#"{"double":0,"whole":1,"texts":[],"more":{"and":[]}}"#,
                false,
            ),
            (r#"{"double":0,"whole":1,"text":"\n"}"#, false),
            ("{\"double\":0,\n\"whole\":1}", false),
            (r#"{"double":0,"whole":1,}"#, false),
            (r#"{"double":0 "whole":1}"#, false),
            (r#"{"double":0,"whole":1} 1"#, false),
            (r#"{"double":0,"whole":1,"whole":1}"#, false),
            (r#"{"double":01,"whole":1}"#, false),
            (r#"{"double":.5,"whole":1}"#, false),
            (r#"{"double":1.,"whole":1}"#, false),
            (r#"{"double":+1,"whole":1}"#, false),
            (r#"{"double":0,"whole":1,"texts":["a",]}"#, false),
            (r#"{"double":0,"whole":1,"texts":[,"a"]}"#, false),
            ("[1,2]", false),
            ("", false),
        ] {
            assert_eq!(is_read(text), expected, "{text}");
        }
    }

    #[test]
    fn data_of_the_workload_is_read_here() {
        for number in 0..100 {
            let message = workload(number, 20);
            let text = str::from_utf8(&message.payload).unwrap();
            let profile = super::read::<Object<StateData<'_, ProfileState<'_>>>>(text);
            let user = super::read::<Object<StateData<'_, UserState>>>(text);
            assert_eq!(
                (profile.is_some(), user.is_some()),
                (
                    number % 2 == 1 || 40 <= number,
                    number % 2 == 0 && number < 40
                ),
                "{text}"
            );
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            any::<f64>().prop_filter_map("finite", |number| serde_json::to_string(&number).ok()),
            any::<u64>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            "-?[0-9]{1,25}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{0,3})?",
        ];
        let text = "[ -~é\\n]{0,8}".prop_map(|text| Value::from(text).to_string());
        let parts = (
            number.clone(),
            number,
            text.clone(),
            "(true|false|null)",
            text,
            "[ ]?",
        );
        parts.prop_map(|(whole, double, text, is, other, space)| {
            let texts = format!("{space}\"texts\":[{other}{space},{other}]{space}");
            format!(
                r#"{{{space}"whole":{space}{whole},"double":{double}{space},"text":{text},"is":{is},{texts}}}"#
            )
        })
    }

    proptest! {
        #[test]
        fn never_reads_what_another_reads_otherwise(
            text in json(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), "[ -~]?"), 0..3),
        ) {
            let _ = is_read(&text);
            let mut text = text;
            for (at, with) in changes {
                let places: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
                let at = *at.get(&places);
                let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
                text.replace_range(at..end, &with);
            }
            let _ = is_read(&text);
        }
    }
}
