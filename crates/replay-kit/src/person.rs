//! Events of one person, with versions counted and the members that a test does not care about filled
//! in.

use serde_json::{Value, json};

/// A person with a user document and one profile document. Each call makes the next event of one of
/// them, in structured form: what a line of a file holds.
#[derive(Debug, Clone)]
pub struct Person {
    user: String,
    profile: String,
    user_version: u64,
    profile_version: u64,
}

impl Person {
    /// A person of these document ids, of whom nothing happened yet.
    pub fn new(user: &str, profile: &str) -> Self {
        Self {
            user: user.to_owned(),
            profile: profile.to_owned(),
            user_version: 0,
            profile_version: 0,
        }
    }

    /// The user document was written, with this identity.
    pub fn registered(&mut self, workos_user_id: &str) -> Value {
        let name = if self.user_version == 0 {
            "registered"
        } else {
            "updated"
        };
        let state = json!({
            "workosUserId": workos_user_id, "email": "somebody@example.com", "isActive": true,
            "createdAt": 0, "updatedAt": 0,
        });
        self.of_user(name, &json!({ "state": state }))
    }

    /// The user document was deleted.
    pub fn deleted(&mut self) -> Value {
        self.of_user("deleted", &json!({"deletedAt": 0}))
    }

    /// The person was erased.
    pub fn erased(&mut self) -> Value {
        self.of_user("erased", &json!({"erasedAt": 0, "requestId": "request"}))
    }

    /// The profile was written as a whole: `members`, and of the required ones those that are missing.
    pub fn profile(&mut self, members: &Value) -> Value {
        let mut state = json!({"displayName": "", "languages": [], "createdAt": 0, "updatedAt": 0});
        merge(&mut state, members);
        let name = if self.profile_version == 0 {
            "created"
        } else {
            "updated"
        };
        self.of_profile(name, &json!({ "state": state }))
    }

    /// Some members of the profile were changed, of the version that this person's profile has.
    pub fn profile_patched(&mut self, patch: &Value) -> Value {
        let base = self.profile_version;
        self.of_profile("patched", &json!({"baseVersion": base, "patch": patch}))
    }

    /// The profile was deleted.
    pub fn profile_deleted(&mut self) -> Value {
        self.of_profile("deleted", &json!({"deletedAt": 0}))
    }

    fn of_user(&mut self, name: &str, rest: &Value) -> Value {
        self.user_version = self.user_version.saturating_add(1);
        event(
            &self.user,
            ("user", &self.user, self.user_version),
            name,
            rest,
        )
    }

    fn of_profile(&mut self, name: &str, rest: &Value) -> Value {
        self.profile_version = self.profile_version.saturating_add(1);
        let document = ("profile", self.profile.as_str(), self.profile_version);
        event(&self.user, document, name, rest)
    }
}

fn event(user: &str, document: (&str, &str, u64), name: &str, rest: &Value) -> Value {
    let (kind, id, version) = document;
    let mut data = json!({"entity": {"kind": kind, "id": id, "userId": user, "version": version}});
    merge(&mut data, rest);
    json!({
        "specversion": "1.0", "id": format!("{kind}:{id}:{version}"), "source": "/replay-kit",
        "type": format!("app.connvo.{kind}.{name}.v1"), "subject": user, "data": data,
    })
}

fn merge(into: &mut Value, members: &Value) {
    if let (Some(into), Some(members)) = (into.as_object_mut(), members.as_object()) {
        into.extend(members.clone());
    }
}
