//! Bytes of rows: numbers as LEB128, texts with their length before them. Canonical: one value has
//! one form, so equal rows have equal bytes.

#![allow(missing_docs, reason = "the methods' names are the kinds of values")]

/// What is wrong with bytes that should be a row.
pub type Problem = &'static str;

/// Appends values to a row.
pub struct Writer<'b>(pub &'b mut Vec<u8>);

impl Writer<'_> {
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn number(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    pub fn length(&mut self, length: usize) {
        self.number(u64::try_from(length).unwrap_or(u64::MAX));
    }

    pub fn double(&mut self, double: f64) {
        self.0.extend_from_slice(&double.to_bits().to_le_bytes());
    }

    pub fn signed(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Bytes that say themselves where they end.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

/// Takes values from a row, in the order they were written.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> Result<u8, Problem> {
        let (first, rest) = self.0.split_first().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn number(&mut self) -> Result<u64, Problem> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number is too long")
    }

    pub fn length(&mut self) -> Result<usize, Problem> {
        usize::try_from(self.number()?).or(Err("a length is too large"))
    }

    pub fn double(&mut self) -> Result<f64, Problem> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    pub fn signed(&mut self) -> Result<i64, Problem> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Problem> {
        let length = self.length()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'a str, Problem> {
        str::from_utf8(self.bytes()?).or(Err("a text is not UTF-8"))
    }

    pub fn boxed(&mut self) -> Result<Box<str>, Problem> {
        self.text().map(Into::into)
    }

    /// Ends the reading: a row holds nothing behind its last value.
    pub fn end(&self) -> Result<(), Problem> {
        if self.is_empty() {
            Ok(())
        } else {
            Err("it is too long")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value_and_have_one_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            Writer(&mut bytes).number(number);
            let mut cursor = Cursor(&bytes);
            assert_eq!(cursor.number(), Ok(number));
            assert!(cursor.end().is_ok());
        }
        assert!(Cursor(&[0xff; 20]).number().is_err());
        assert!(Cursor(&[0x80]).number().is_err());
        assert!(Cursor(&[5, b'a']).text().is_err());
        assert!(Cursor(&[1, 0xff]).text().is_err());
    }
}
