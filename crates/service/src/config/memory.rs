//! Amounts of memory, as people write them.

use super::faults::Judge;

/// Less than this holds too few rows to be worth a spill.
const BYTES_MIN: usize = 16 * 1024 * 1024;

/// Takes bytes, or a number with KiB, MiB or GiB.
pub(super) fn judge_memory(flag: &'static str, text: &str, judge: &mut Judge) -> Option<usize> {
    let bytes = bytes_of(text);
    match bytes {
        None => judge.fault(
            flag,
            "is no amount of memory: expected a number and KiB, MiB or GiB",
        ),
        Some(bytes) if bytes < BYTES_MIN => judge.fault(flag, "is less than 16MiB"),
        Some(_) => {}
    }
    bytes
}

fn bytes_of(text: &str) -> Option<usize> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let with_unit = units
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (number, shift) = with_unit.unwrap_or((text, 0));
    let number: usize = number.trim_end().parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_or_none() {
        for (text, bytes) in [
            ("33554432", Some(32 << 20)),
            ("512MiB", Some(512 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("20000KiB", Some(20_000 << 10)),
            ("512MB", None),
            ("-1MiB", None),
            ("MiB", None),
            ("99999999999999999GiB", None),
        ] {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
    }
}
