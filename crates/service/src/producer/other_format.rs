//! Files that hold something else than one JSON object a line: what it is, and what makes lines of events of it.

use event_lines::Line;

use super::fault::Fault;

/// What files of other formats begin with. All of the names are of their common tools.
const BEGINNINGS: [(&[u8], &str, &str); 7] = [
    (
        b"\x1f\x8b",
        "a gzip file",
        "`gzip -dc FILE` writes it as text",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "a zstd file",
        "`zstd -dc FILE` writes it as text",
    ),
    (b"BZh", "a bzip2 file", "`bzip2 -dc FILE` writes it as text"),
    (
        b"\xfd7zXZ\0",
        "an xz file",
        "`xz -dc FILE` writes it as text",
    ),
    (
        b"PK\x03\x04",
        "a zip archive",
        "`profile-projector import FILE` takes the zip of a Convex export, `unzip -p FILE` writes text",
    ),
    (
        b"\x1e",
        "JSON texts that each begin with the byte RS (RFC 7464)",
        "`tr -d '\\036' < FILE` takes it out",
    ),
    (
        b"\xef\xbb\xbf",
        "a byte order mark",
        "`sed '1s/^\\xef\\xbb\\xbf//' FILE` takes it out",
    ),
];

/// The most columns of a table's first line, and the longest name of one.
const COLUMNS_MAX: usize = 200;
const NAME_BYTES_MAX: usize = 64;

/// What is wrong with a file as a whole, told by its first line that is not blank. What follows would be a line of
/// nonsense for each line.
pub(crate) fn of_first(line: &Line<'_>) -> Option<Fault> {
    let text = line.text?;
    let known = BEGINNINGS
        .into_iter()
        .find(|(begins, _, _)| text.starts_with(begins));
    let (found, expected) = match known {
        Some((_, found, cure)) => (found, cure),
        None if is_utf16(text) => ("UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` converts it"),
        None if line.is_unfinished() => (
            "JSON that goes on in the next line",
            "`jq -c . FILE` writes one event a line, `jq -c '.[]' FILE` the items of an array",
        ),
        None if is_array(text) => (
            "an array",
            "`jq -c '.[]' FILE` writes its items, one a line",
        ),
        None if is_several(text) => (
            "more than one JSON value in a line",
            "`jq -c . FILE` writes one a line",
        ),
        None if is_table(text) => (
            "a table, such as CSV",
            "events: a row is not one, and schemas/README.md says what a program has to make of it",
        ),
        None => return None,
    };
    Some(Fault {
        member: "file".to_owned(),
        found: found.to_owned(),
        expected: format!("one JSON object a line, in UTF-8: {expected}"),
    })
}

fn is_utf16(text: &[u8]) -> bool {
    matches!(
        text,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'[', 0, ..] | [0, b'{' | b'[', ..]
    )
}

/// The items of a right event's line are told apart by what stands around them, so a damaged line is none.
fn is_array(text: &[u8]) -> bool {
    text.starts_with(b"[") && text.ends_with(b"]")
}

fn is_several(text: &[u8]) -> bool {
    let mut values =
        serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    let first = values.next();
    let is_object = text.starts_with(b"{");
    is_object && matches!(first, Some(Ok(_))) && matches!(values.next(), Some(Ok(_)))
}

/// Whether it is the names of columns.
fn is_table(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else {
        return false;
    };
    let is_name = |name: &str| {
        let name = name.trim().trim_matches('"');
        let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_letter)
    };
    [',', ';', '\t'].into_iter().any(|between| {
        let columns = || text.split(between).take(COLUMNS_MAX);
        1 < columns().count() && columns().all(is_name)
    })
}
