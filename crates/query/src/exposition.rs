//! Prometheus' text format, for figures that are looked up when they are asked for. Each series is there from the
//! start, so that an increase can be told from a first appearance.

use std::fmt::{Display, Write as _};

/// What every metric of this program begins with.
pub const PREFIX: &str = "profile_projector_";

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// A metric whose values are being written.
#[derive(Debug)]
pub struct Series<'p> {
    page: &'p mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a metric that rises and falls. `name` is whole, so that it can be searched for.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Series<'_> {
        self.begin(name, help, "gauge")
    }

    /// Begins a metric that only rises, but for a restart.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Series<'_> {
        self.begin(name, help, "counter")
    }

    fn begin(&mut self, name: &'static str, help: &'static str, kind: &str) -> Series<'_> {
        let page = &mut self.0;
        // Writing to a string cannot fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Series { page, name }
    }

    /// Adds what another recorder rendered, its metrics in the order of their names.
    pub fn rendered(&mut self, text: &str) {
        let mut metrics: Vec<&str> = text
            .split("\n\n")
            .map(str::trim)
            .filter(|metric| !metric.is_empty())
            .collect();
        metrics.sort_unstable();
        for metric in metrics {
            self.0.extend([metric, "\n"]);
        }
    }

    /// The page as it is sent.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Series<'_> {
    /// The value of a metric without labels.
    pub fn value(self, value: impl Display) {
        let _ = writeln!(self.page, "{} {value}", self.name);
    }

    /// The value with these labels.
    pub fn with(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.page.push_str(self.name);
        let mut before = '{';
        for (label, text) in labels {
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.page, "{before}{label}=\"{text}\"");
            before = ',';
        }
        let _ = writeln!(self.page, "}} {value}");
        self
    }

    /// One series for each of `all`: 1 for `now`, 0 for the others.
    pub fn one_of<'w>(
        &mut self,
        label: &str,
        all: impl IntoIterator<Item = &'w str>,
        now: Option<&str>,
    ) {
        for word in all {
            self.with(&[(label, word)], u8::from(now == Some(word)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_with_their_help_and_labels_are_escaped() {
        let mut page = Exposition::default();
        page.gauge("a", "An a").value(u64::MAX);
        page.counter("b_total", "Some b")
            .with(&[("source", "C:\\\"x\"\n"), ("result", "ok")], 1.5)
            .one_of("result", ["ok", "no"], Some("no"));
        page.rendered("# TYPE z gauge\nz 1\n\n# TYPE y gauge\ny 2\n\n");
        let wanted = "# HELP a An a\n# TYPE a gauge\na 18446744073709551615\n\
            # HELP b_total Some b\n# TYPE b_total counter\n\
            b_total{source=\"C:\\\\\\\"x\\\"\\n\",result=\"ok\"} 1.5\nb_total{result=\"ok\"} 0\nb_total{result=\"no\"} 1\n\
            # TYPE y gauge\ny 2\n# TYPE z gauge\nz 1\n";
        assert_eq!(page.into_text(), wanted);
    }
}
