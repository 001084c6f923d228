//! Progress bars of commands: on standard error, and only where that is a terminal.

use std::fmt::Write;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};

/// A bar of things that are counted, by their name.
pub(super) fn of(things: &str) -> ProgressBar {
    let template =
        format!("{{bar:30}} {{human_pos}}/{{human_len}} {things}{{rate}}{{left}}{{msg}}");
    styled(ProgressBar::no_length(), &template)
}

/// A bar of bytes. Their number is known, or the message alone says how far it is.
pub(super) fn of_bytes(length: Option<u64>) -> ProgressBar {
    match length {
        Some(length) => styled(
            ProgressBar::new(length),
            "{bar:30} {bytes}/{total_bytes}{left}{msg}",
        ),
        None => styled(ProgressBar::no_length(), "{spinner} {bytes}{msg}"),
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", rate).with_key("left", left));
    }
    bar
}

/// Moves a bar. It begins where the work begins: what was there before was not done in no time.
pub(super) fn advance(bar: &ProgressBar, to: u64, length: u64) {
    bar.set_length(length);
    if bar.position() == 0 && to != 0 {
        bar.set_position(to);
        bar.reset_eta();
    } else {
        bar.set_position(to);
    }
}

/// What else is to be said at the end of a bar's line.
pub(super) fn note(bar: &ProgressBar, said: &str) {
    bar.set_message(match said {
        "" => String::new(),
        said => format!("  {said}"),
    });
}

/// Whole things a second.
fn rate(state: &ProgressState, out: &mut dyn Write) {
    if let Some(rate) = whole(state.per_sec()) {
        let _ = write!(out, "  {}/s", HumanCount(rate));
    }
}

/// The time that is left, where the pace and the end are known.
fn left(state: &ProgressState, out: &mut dyn Write) {
    let is_known = state.len().is_some_and(|length| state.pos() < length);
    if is_known && whole(state.per_sec()).is_some() && !state.eta().is_zero() {
        let _ = write!(out, "  {:#} left", HumanDuration(state.eta()));
    }
}

/// A rate without its fraction; `None` for one that is not known yet, or less than one.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and the sign is looked at"
)]
fn whole(rate: f64) -> Option<u64> {
    (1.0 <= rate && rate.is_finite()).then_some(rate.round() as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// Keeps what was written to it.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            200
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a terminal shows of it at last.
    fn shown(bar: &ProgressBar, change: impl Fn(&ProgressBar)) -> String {
        let paper = Paper::default();
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(paper.clone())));
        change(bar);
        bar.force_draw();
        let shown = paper.0.lock().unwrap();
        shown.trim_end().to_owned()
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let line = shown(&of("events"), |bar| advance(bar, 0, 2_000_000));
        assert!(line.ends_with("0/2,000,000 events"), "{line}");
        let line = shown(&of("rows"), |bar| {
            advance(bar, 1, 1);
            note(bar, "3 parked");
        });
        assert!(line.ends_with("1/1 rows  3 parked"), "{line}");
    }

    #[test]
    fn rates_are_whole_and_grouped() {
        let line = shown(&of("events"), |bar| {
            for step in 1..40 {
                advance(bar, step * 25_000, 2_000_000);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let rate = line.split_whitespace().find(|word| word.ends_with("/s"));
        let rate = rate.unwrap().trim_end_matches("/s");
        let is_whole = rate
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b',');
        assert!(is_whole && rate.contains(','), "{line}");
        assert!(line.contains(" left"), "{line}");
    }

    #[test]
    fn what_was_there_before_is_no_pace() {
        let line = shown(&of("events"), |bar| {
            advance(bar, 5_000_000_000, 5_000_000_020);
        });
        assert!(
            line.ends_with("5,000,000,000/5,000,000,020 events"),
            "{line}"
        );
    }
}
