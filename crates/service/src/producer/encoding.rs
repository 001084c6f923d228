//! Files in another encoding than UTF-8, told in words that say what to do.

use super::fault::Fault;

/// Refuses a line that is no UTF-8, or has what only other encodings and damaged files have.
pub(super) fn check(line: &[u8]) -> Result<(), Fault> {
    let found = match line {
        [0xef, 0xbb, 0xbf, ..] => "a byte order mark".to_owned(),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16".to_owned(),
        line if is_utf16(line) => "UTF-16".to_owned(),
        line => match std::str::from_utf8(line) {
            Ok(_) => match line.iter().position(|byte| *byte == 0) {
                Some(at) => format!("a NUL byte at column {}", at + 1),
                None => return Ok(()),
            },
            Err(error) => format!(
                "a byte that is not UTF-8 at column {}",
                error.valid_up_to() + 1
            ),
        },
    };
    Err(Fault {
        member: "line".to_owned(),
        found,
        expected: "one JSON object in UTF-8, without a byte order mark".to_owned(),
    })
}

/// Whether every other byte is NUL, as in English text in UTF-16, but for where the line was cut.
fn is_utf16(line: &[u8]) -> bool {
    let every_other = |skip: usize| {
        let bytes = || line.iter().skip(skip).step_by(2);
        bytes().len() > 1 && bytes().all(|byte| *byte == 0)
    };
    every_other(0) || every_other(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_named() {
        let said = |line: &[u8]| check(line).map_err(|fault| fault.found);
        let error = |text: &str| Err(text.to_owned());
        assert_eq!(said("{\"ä\":\"\u{1f389}\"}".as_bytes()), Ok(()));
        assert_eq!(said(b"\xef\xbb\xbf{}"), error("a byte order mark"));
        assert_eq!(said(b"\xff\xfe{\0}\0"), error("UTF-16"));
        // The lines behind the first of such files, cut at the byte of the line's end.
        assert_eq!(said(b"\0{\0}\0"), error("UTF-16"));
        assert_eq!(said(b"{\0}\0\r\0"), error("UTF-16"));
        assert_eq!(said(b"\0{\0}"), error("UTF-16"));
        assert_eq!(
            said(b"{\"a\":\"\xe4\"}"),
            error("a byte that is not UTF-8 at column 7")
        );
        assert_eq!(said(b"{}\0"), error("a NUL byte at column 3"));
        assert_eq!(said(b"\0"), error("a NUL byte at column 1"));
    }
}
