//! Text of unknown origin as it may be printed: with nothing in it that a terminal obeys or hides.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal would do something with it instead of showing it: control characters, and marks
/// that turn the direction of the text around or are not seen.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Lines as they may be printed. What is escaped is escaped as JSON does it, so JSON stays what it is.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character != '\n' && is_obeyed(character))
}

/// A piece of a line; a line's end within it would look like another line.
pub(crate) fn piece(piece: &str) -> Cow<'_, str> {
    escaped(piece, is_obeyed)
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) {
            // All of them have one unit in UTF-16.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// A number of things.
pub(crate) fn counted(count: impl TryInto<u64>, one: &str, more: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_for_a_terminal_to_obey() {
        let said = "a\x1b[31m\u{9b}2J\u{202e}b\r\n\u{7f}\u{feff}é\u{1f389}";
        let shown = "a\\u001b[31m\\u009b2J\\u202eb\\u000d\n\\u007f\\ufeffé\u{1f389}";
        assert_eq!(text(said), shown);
        assert_eq!(piece("a\nb c"), "a\\u000ab c");
        let value = serde_json::json!({"member": said});
        let line = value.to_string();
        assert!(!text(&line).contains(is_obeyed));
        let read: serde_json::Value = serde_json::from_str(&text(&line)).unwrap();
        assert_eq!(read, value);
        assert!(matches!(text("plain"), Cow::Borrowed("plain")));
    }
}
