//! A table as it would be if the runs were merged into it.

use redb::Range as TableRange;

use super::{Entry, Kind, Merge, Run, Source};
use crate::StorageError;
use crate::reader::Table;

/// Key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// The rows of a table and of runs over it, in key order.
pub(crate) fn rows(
    table: &Table,
    runs: &[Run],
    kind: Kind,
) -> Result<impl Iterator<Item = Result<Row, StorageError>> + use<>, StorageError> {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    for run in runs {
        sources.push(Box::new(run.source()?));
    }
    let rows = table
        .range::<&[u8]>(..)
        .map_err(StorageError::engine("read"))?;
    let mut of_table = OfTable {
        rows,
        kind,
        row: None,
    };
    of_table.advance()?;
    sources.push(Box::new(of_table));
    let mut merge = Merge::new(sources);
    Ok(std::iter::from_fn(move || {
        loop {
            let row = row_of(&merge.entry()?, kind);
            if let Err(error) = merge.advance() {
                return Some(Err(error));
            }
            if let Some(row) = row {
                return Some(Ok(row));
            }
        }
    }))
}

/// The row that an entry stands for, if it is of this kind and there is one.
fn row_of(entry: &Entry<'_>, kind: Kind) -> Option<Row> {
    let is_row = entry.kind == kind && !kind.is_none(entry.value);
    is_row.then(|| (entry.key.to_vec(), entry.value.to_vec()))
}

/// The rows of a table.
struct OfTable {
    rows: TableRange<'static, &'static [u8], &'static [u8]>,
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
        let row = self.rows.next().transpose();
        let row = row.map_err(StorageError::engine("read"))?;
        self.row = row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec()));
        Ok(())
    }
}
