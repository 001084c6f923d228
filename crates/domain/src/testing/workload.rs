//! The stream that benchmarks replay: users with their profiles, then updates of profiles.

use serde_json::json;

use super::{Form, Message, profile_state, user_state};

/// Event `number`, from 0, of a stream over this many users.
///
/// First every user is registered and gets a profile; then come passes over all users, a whole profile
/// each, in an order that is none of the keys'. Binary form, about 591 bytes with headers.
pub fn workload(number: u64, users: u64) -> Message {
    let first_pass = users.saturating_mul(2);
    let (turn, pass) = if number < first_pass {
        (number / 2, 0)
    } else {
        let later = number - first_pass;
        (later % users, 1 + later / users)
    };
    // A prime that divides no usual number of users: each pass meets each of them once.
    let person = (turn.wrapping_mul(7_919) + pass.wrapping_mul(104_729)) % users;
    let user = format!("u{person:031}");
    if pass == 0 && number.is_multiple_of(2) {
        return user_state(&user, 1, &format!("user_{user}")).message(Form::Binary);
    }
    let members = json!({
        "displayName": format!("Person number {person}"),
        "languages": ["English", "French"],
        "bio": "I build looms, and sometimes engines that weave algebraic patterns.",
        "company": "Analytical Engines",
        "age": 36,
        "createdAt": 1_795_420_800_000_u64,
        "updatedAt": 1_795_420_800_000_u64 + number,
    });
    profile_state(&user, &format!("p{user}"), pass + 1, &members).message(Form::Binary)
}
