//! A token that was found good is judged again at every request.

use super::super::keys::Timing;
use super::*;

fn subject(verifier: &Verifier, token: &str) -> Result<String, u16> {
    let identity = verifier.verify(token).map_err(|error| error.status())?;
    Ok(identity.subject.as_str().to_owned())
}

#[test]
fn its_time_runs_out() {
    let clock = Clock::at(NOW);
    let verifier = with_document(contract_config(), &clock, &key_set(&[K1.entry("k1")]));
    let token = Token::good().signed();
    for _ in 0..3 {
        assert_eq!(subject(&verifier, &token), Ok("user_1".to_owned()));
    }
    clock.set(NOW + 305);
    assert!(verifier.verify(&token).is_ok(), "within the leeway");
    clock.set(NOW + 306);
    let expired = AuthError::Expired { seconds_ago: 6 };
    assert_eq!(verifier.verify(&token), Err(expired));
    let clock = Clock::at(NOW);
    let verifier = with_document(contract_config(), &clock, &key_set(&[K1.entry("k1")]));
    assert!(verifier.verify(&token).is_ok());
    clock.set(NOW - 66);
    let early = verifier.verify(&token).unwrap_err();
    assert!(matches!(early, AuthError::Early { .. }), "{early:?}");
}

#[test]
fn expired_it_stays_when_the_clock_steps_back() {
    let clock = Clock::at(NOW);
    let verifier = with_document(contract_config(), &clock, &key_set(&[K1.entry("k1")]));
    let token = Token::good().signed();
    assert!(verifier.verify(&token).is_ok());
    clock.set(NOW + 306);
    let expired = Err(AuthError::Expired { seconds_ago: 6 });
    assert_eq!(verifier.verify(&token), expired);
    clock.set(NOW - 20);
    assert_eq!(verifier.verify(&token), expired);
}

#[test]
fn a_newer_one_is_good_when_the_clock_is_set_right() {
    let clock = Clock::at(NOW);
    let verifier = with_document(contract_config(), &clock, &key_set(&[K1.entry("k1")]));
    let issued_at = |time: u64| {
        let token = Token::good().claim("iat", &time.to_string());
        token.claim("exp", &(time + 300).to_string()).signed()
    };
    let (before, after) = (issued_at(NOW), issued_at(NOW + 10));
    assert!(verifier.verify(&before).is_ok());
    clock.set(NOW + 5 * 3600);
    assert!(verifier.verify(&before).is_err());
    clock.set(NOW + 10);
    for _ in 0..2 {
        assert!(verifier.verify(&after).is_ok());
        assert!(verifier.verify(&before).is_err(), "it has expired once");
    }
}

#[test]
fn its_key_goes() {
    let clock = Clock::at(NOW);
    let verifier = with_document(contract_config(), &clock, &key_set(&[K1.entry("k1")]));
    let token = Token::good().signed();
    assert!(verifier.verify(&token).is_ok());
    // The same name for another key, then no such name, then the key again.
    give(&verifier, &key_set(&[STRANGER.entry("k1")]));
    assert_eq!(subject(&verifier, &token), Err(401));
    give(&verifier, &key_set(&[K1.entry("k2")]));
    assert_eq!(subject(&verifier, &token), Err(401));
    give(&verifier, &key_set(&[K1.entry("k1")]));
    assert!(verifier.verify(&token).is_ok());
}

#[tokio::test(start_paused = true)]
async fn its_keys_grow_too_old() {
    let clock = Clock::at(NOW);
    let verifier = with_document(contract_config(), &clock, &key_set(&[K1.entry("k1")]));
    let token = Token::good().signed();
    assert!(verifier.verify(&token).is_ok());
    tokio::time::advance(Timing::default().stale_max + Duration::from_secs(1)).await;
    assert_eq!(verifier.verify(&token), Err(AuthError::NoKeys));
}

#[test]
fn no_other_token_is_taken_for_it() {
    let verifier = verifier(contract_config());
    let ada = Token::good().signed();
    let eve = Token::good().claim("sub", r#""user_2""#).signed();
    for _ in 0..3 {
        assert_eq!(subject(&verifier, &ada), Ok("user_1".to_owned()));
        assert_eq!(subject(&verifier, &eve), Ok("user_2".to_owned()));
    }
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let text = ada.rsplit_once('.').unwrap().0;
    for forged in [
        format!("{text}.{}", signature(&eve)),
        format!("{ada}="),
        format!("{ada} "),
        text.to_owned(),
    ] {
        assert_eq!(subject(&verifier, &forged), Err(401), "{forged}");
    }
}
