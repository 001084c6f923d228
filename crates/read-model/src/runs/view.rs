//! A table as it would be if the runs were merged into it.

use super::{Entry, Kind, Merge, Run, Source};
use crate::StorageError;
use crate::check::{Rows, Scan};

/// Key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

type Found = Result<Row, StorageError>;

/// The rows of a table and of runs over it, in key order. Behind a row that is damaged the next follows;
/// where runs are damaged, nothing.
pub(crate) fn rows(
    table: &Rows,
    runs: &[Run],
    kind: Kind,
) -> Result<Box<dyn Iterator<Item = Found>>, StorageError> {
    if runs.is_empty() {
        let rows = table.scan(&[])?;
        return Ok(Box::new(rows.map(|row| {
            row.map(|(key, row)| (key.value().to_vec(), row.row().to_vec()))
        })));
    }
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    for run in runs {
        sources.push(Box::new(run.source()?));
    }
    let mut of_table = OfTable {
        rows: table.scan(&[])?,
        kind,
        row: None,
    };
    of_table.advance()?;
    sources.push(Box::new(of_table));
    let mut merge = Some(Merge::new(sources));
    Ok(Box::new(std::iter::from_fn(move || {
        next_of(&mut merge, kind)
    })))
}

/// The next row of a kind. A source that failed has lost its place, so nothing is merged after it.
fn next_of(merge: &mut Option<Merge<'_>>, kind: Kind) -> Option<Found> {
    loop {
        let sources = merge.as_mut()?;
        let row = row_of(&sources.entry()?, kind);
        if let Err(error) = sources.advance() {
            *merge = None;
            return Some(Err(error));
        }
        if let Some(row) = row {
            return Some(Ok(row));
        }
    }
}

/// The row that an entry stands for, if it is of this kind and there is one.
fn row_of(entry: &Entry<'_>, kind: Kind) -> Option<Row> {
    let is_row = entry.kind == kind && !kind.is_none(entry.value);
    is_row.then(|| (entry.key.to_vec(), entry.value.to_vec()))
}

/// The rows of a table.
struct OfTable {
    rows: Scan,
    kind: Kind,
    row: Option<Row>,
}

impl Source for OfTable {
    fn entry(&self) -> Option<Entry<'_>> {
        let (key, value) = self.row.as_ref()?;
        Some(Entry {
            kind: self.kind,
            key,
            value,
        })
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        let row = self.rows.next().transpose()?;
        self.row = row.map(|(key, row)| (key.value().to_vec(), row.row().to_vec()));
        Ok(())
    }
}
