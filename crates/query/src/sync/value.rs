//! Values on their way to sockets. Sockets of one identity that are told the same share its bytes.

use std::sync::{Arc, Weak};

use convex_wire::sync::{Hashed, Transition};
use tokio_tungstenite::tungstenite::Bytes;

use crate::shares::Held;

/// What is smaller than this is copied rather than shared.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// A value, on its first reader's account until all who are told of it have taken it.
#[derive(Clone)]
pub(super) struct Value(Arc<Accounted>);

struct Accounted {
    hashed: Hashed,
    _held: Held,
}

/// A value that is shared as long as anybody is told of it.
#[derive(Clone)]
pub(super) struct Shared(Weak<Accounted>);

impl Value {
    pub(super) fn new(hashed: Hashed, held: Held) -> Self {
        Self(Arc::new(Accounted {
            hashed,
            _held: held,
        }))
    }

    pub(super) fn is_shared(json: &str) -> bool {
        json.len() >= SHARED_BYTES_MIN
    }

    pub(super) fn share(&self) -> Shared {
        Shared(Arc::downgrade(&self.0))
    }
}

impl Shared {
    /// The value, if it is this and still on its way to somebody.
    pub(super) fn get(&self, json: &str) -> Option<Value> {
        let value = self.0.upgrade()?;
        (value.hashed.json() == json).then_some(Value(value))
    }
}

impl AsRef<Hashed> for Value {
    fn as_ref(&self) -> &Hashed {
        &self.0.hashed
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self.0.hashed.json().as_bytes()
    }
}

/// A message in pieces; none is empty but that of an empty message.
pub(super) struct Outgoing {
    pub(super) pieces: Vec<Bytes>,
    /// Bytes that are not on an account yet.
    pub(super) own: usize,
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Self {
            own: text.len(),
            pieces: vec![text.into()],
        }
    }
}

impl From<Transition<Value>> for Outgoing {
    fn from(transition: Transition<Value>) -> Self {
        let is_shared = |value: &Value| Value::is_shared(value.0.hashed.json());
        if !transition.value().is_some_and(is_shared) {
            return transition.to_string().into();
        }
        let (own, places, value) = transition.into_parts();
        let value = value.map(Bytes::from_owner).unwrap_or_default();
        let (length, mut own) = (own.len(), Bytes::from(own));
        let mut pieces = Vec::with_capacity(2 * places.len() + 1);
        let mut done = 0;
        for place in places {
            pieces.push(own.split_to(place.saturating_sub(done)));
            pieces.push(value.clone());
            done = place;
        }
        pieces.push(own);
        Self {
            pieces,
            own: length,
        }
    }
}
