//! Records on their way from the source to the writer, in the buffers that they were read into.

use std::ops::ControlFlow;

use domain::{Fingerprint, Headers, RecordRef, subject_text};
use jetstream::{Frames, Message};

/// Records, each behind the one before in the stream.
#[derive(Default)]
pub(crate) struct Chunk {
    pieces: Vec<Piece>,
    records: usize,
    bytes: usize,
}

/// What was read together, and which of it are records.
struct Piece {
    frames: Frames,
    records: Vec<(usize, Place)>,
}

/// A record's place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: Fingerprint,
    /// How many records the stream had after it when it was sent.
    pub(crate) pending: u64,
}

impl Chunk {
    /// Takes in what was read; its records are then told one by one.
    pub(crate) fn begin(&mut self, frames: Frames) {
        // Words of the server alone are not kept.
        self.pieces.pop_if(|last| last.records.is_empty());
        let records = Vec::with_capacity(frames.len());
        self.pieces.push(Piece { frames, records });
    }

    /// A message of what was taken in last.
    pub(crate) fn message(&self, at: usize) -> Option<Message<'_>> {
        self.pieces.last()?.frames.get(at)
    }

    /// That message is a record.
    pub(crate) fn push(&mut self, place: Place, at: usize) {
        let Some(piece) = self.pieces.last_mut() else {
            return;
        };
        let bytes = piece.frames.get(at).map_or(0, |message| {
            message.headers.len().saturating_add(message.payload.len())
        });
        piece.records.push((at, place));
        self.records = self.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.records
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How much of the log it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lends the records to `each`, in order, until it fails or breaks off.
    pub(crate) fn try_each<E>(
        &self,
        mut each: impl FnMut(Place, &RecordRef<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        for Piece { frames, records } in &self.pieces {
            let records = records
                .iter()
                .filter_map(|(at, place)| Some((place, frames.get(*at)?)));
            for (place, message) in records {
                let record = RecordRef {
                    sequence: place.at.sequence,
                    subject: &subject_text(message.subject),
                    headers: Headers::of_block(message.headers),
                    payload: message.payload,
                };
                if each(*place, &record)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::Sequence;

    use super::*;

    #[test]
    fn records_come_out_as_they_were_read() {
        let frames = b"HMSG identity.v1.u1.user 1 r 22 24\r\nNATS/1.0\r\nce-id: \xff\r\n\r\n{}\r\n\
            MSG word 1 r 0\r\n\r\n\
            MSG \xff 1 r 4\r\nbody\r\n";
        let frames = Frames::parse(frames.to_vec().into()).unwrap();
        let mut chunk = Chunk::default();
        chunk.begin(frames);
        for (sequence, at) in [(1, 0), (3, 2)] {
            let at_sequence = Fingerprint {
                sequence: Sequence::new(sequence).unwrap(),
                time_ns: 5,
            };
            let place = Place {
                at: at_sequence,
                pending: 3 - sequence,
            };
            chunk.push(place, at);
        }
        assert_eq!((chunk.len(), chunk.bytes()), (2, 28));
        let mut seen = Vec::new();
        chunk
            .try_each(|place, record| {
                let headers = record.headers.as_bytes().escape_ascii().to_string();
                let payload = record.payload.escape_ascii();
                seen.push(format!(
                    "{} {} {headers} {payload} {}",
                    record.sequence, record.subject, place.pending
                ));
                Ok::<_, ()>(ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(
            seen,
            [
                r"1 identity.v1.u1.user NATS/1.0\r\nce-id: \xff\r\n\r\n {} 2",
                "3 \u{fffd}  body 0",
            ]
        );
    }
}
