//! What is measured: every figure is declared once, in a service's `figures.rs`, with its labels and what it means. Out of the
//! declarations come `/metrics`, its help texts and the tables in `deploy/metrics`.
//!
//! No label holds an id, a name or anything that a customer or a tenant chose: values are words of ours, so that the number of
//! series is bounded by the code.

use std::fmt::Write as _;

use metrics::{Key, Label, Level, Metadata, SharedString};

/// What kind of figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Counts up; at a start it begins anew.
    Counter,
    /// Stands at what was measured last.
    Gauge,
    /// Sorts what was measured into buckets.
    Histogram,
}

impl Kind {
    /// Returns the word that Prometheus has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A declared figure.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Its name in `/metrics`.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub text: &'static str,
}

impl Described {
    /// Returns what it is measured in, which its name ends with.
    pub fn unit(&self) -> &'static str {
        let units = [
            ("_seconds", "seconds"),
            ("_seconds_total", "seconds"),
            ("_bytes", "bytes"),
            ("_ratio", "share, 0 to 1"),
        ];
        units
            .iter()
            .find(|(end, _)| self.name.ends_with(end))
            .map_or("number", |(_, unit)| unit)
    }

    /// Returns what it means as one line.
    pub fn line(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Tells `/metrics` of it. Without labels it stands there from the start: what has not happened yet is 0, and the first time
    /// is a growth that can be seen.
    pub(crate) fn register(&self, recorder: &dyn metrics::Recorder) {
        let (name, text) = (self.name.into(), self.line().into());
        let key = Key::from_static_name(self.name);
        let bare = self.labels.is_empty();
        match self.kind {
            Kind::Counter => {
                recorder.describe_counter(name, None, text);
                if bare {
                    recorder.register_counter(&key, &METADATA).increment(0);
                }
            }
            Kind::Gauge => {
                recorder.describe_gauge(name, None, text);
                if bare {
                    recorder.register_gauge(&key, &METADATA).set(0.0);
                }
            }
            Kind::Histogram => {
                recorder.describe_histogram(name, None, text);
                if bare {
                    drop(recorder.register_histogram(&key, &METADATA));
                }
            }
        }
    }
}

/// Writes the table of a service's figures in Markdown: its own, then those that all services have.
pub fn table(service: &str, own: &[Described]) -> String {
    let mut text = format!(
        "# {service}\n\nWhat `/metrics` of this service tells. Written by `{service} metrics`: what figures mean stands in Rust. \
         Each carries the label `component`, the service's name; a histogram has `_bucket`, `_sum` and `_count`.\n"
    );
    let parts = [("Its own", own), ("Of every service", crate::figures::ALL)];
    for (title, figures) in parts {
        let _ = write!(
            text,
            "\n## {title}\n\n| metric | kind | unit | labels | what it means |\n|---|---|---|---|---|\n"
        );
        let mut figures = figures.to_vec();
        figures.sort_by_key(|figure| figure.name);
        for figure in figures {
            let labels: Vec<_> = figure
                .labels
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                figure.name,
                figure.kind.as_str(),
                figure.unit(),
                labels.join(", "),
                figure.line().replace('|', "\\|")
            );
        }
    }
    text
}

const METADATA: Metadata<'static> = Metadata::new("switchboard", Level::INFO, None);

/// A counter with so many labels.
#[derive(Debug, Clone, Copy)]
pub struct Counter<const LABELS: usize>(pub Described);

/// A gauge with so many labels.
#[derive(Debug, Clone, Copy)]
pub struct Gauge<const LABELS: usize>(pub Described);

/// A histogram with so many labels.
#[derive(Debug, Clone, Copy)]
pub struct Histogram<const LABELS: usize>(pub Described);

impl<const LABELS: usize> Counter<LABELS> {
    /// Declares it; use [`crate::figures!`].
    pub const fn new(
        name: &'static str,
        labels: &'static [&'static str],
        text: &'static str,
    ) -> Self {
        Self(described(name, Kind::Counter, labels, text))
    }

    /// Returns the counter of these values of its labels.
    pub fn of<V: Into<SharedString>>(&self, values: [V; LABELS]) -> metrics::Counter {
        let key = key(&self.0, values);
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }
}

impl Counter<0> {
    /// Counts up.
    pub fn increment(&self, by: u64) {
        self.of::<SharedString>([]).increment(by);
    }
}

impl<const LABELS: usize> Gauge<LABELS> {
    /// Declares it; use [`crate::figures!`].
    pub const fn new(
        name: &'static str,
        labels: &'static [&'static str],
        text: &'static str,
    ) -> Self {
        Self(described(name, Kind::Gauge, labels, text))
    }

    /// Returns the gauge of these values of its labels.
    pub fn of<V: Into<SharedString>>(&self, values: [V; LABELS]) -> metrics::Gauge {
        let key = key(&self.0, values);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }
}

impl Gauge<0> {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.of::<SharedString>([]).set(value);
    }
}

impl<const LABELS: usize> Histogram<LABELS> {
    /// Declares it; use [`crate::figures!`].
    pub const fn new(
        name: &'static str,
        labels: &'static [&'static str],
        text: &'static str,
    ) -> Self {
        Self(described(name, Kind::Histogram, labels, text))
    }

    /// Returns the histogram of these values of its labels.
    pub fn of<V: Into<SharedString>>(&self, values: [V; LABELS]) -> metrics::Histogram {
        let key = key(&self.0, values);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }
}

impl Histogram<0> {
    /// Sorts a value in.
    pub fn record(&self, value: f64) {
        self.of::<SharedString>([]).record(value);
    }
}

const fn described(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    text: &'static str,
) -> Described {
    Described {
        name,
        kind,
        labels,
        text,
    }
}

fn key<const LABELS: usize, V: Into<SharedString>>(figure: &Described, values: [V; LABELS]) -> Key {
    let labels = figure.labels.iter().zip(values);
    let labels: Vec<Label> = labels
        .map(|(name, value)| Label::new(*name, value))
        .collect();
    Key::from_parts(figure.name, labels)
}

/// A number as a figure has it.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^52, and nobody counts further"
)]
pub fn number(value: u64) -> f64 {
    value as f64
}

/// Declares figures, and `ALL` with all of them. The comment is what the figure means, for people who run it.
#[macro_export]
macro_rules! figures {
    ($(
        $(#[doc = $text:literal])+
        $figure:ident: $kind:ident[$($label:literal),*] = $name:literal;
    )+) => {
        $(
            $(#[doc = $text])+
            pub const $figure: $crate::meter::$kind<{ const NAMES: &[&str] = &[$($label),*]; NAMES.len() }> =
                $crate::meter::$kind::new($name, &[$($label),*], concat!($($text),+));
        )+

        /// All figures that are declared here.
        pub const ALL: &[$crate::meter::Described] = &[$($figure.0),+];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    mod sample {
        crate::figures! {
            /// Calls that
            /// went wrong.
            CALLS: Counter["method", "code"] = "sample_calls_total";
            /// How long nothing was heard.
            QUIET: Gauge[] = "sample_quiet_seconds";
        }
    }

    #[test]
    fn o26_a_figure_is_counted_under_the_labels_that_it_declares() {
        let recorder = crate::testing::recorder();
        metrics::with_local_recorder(&recorder, || {
            sample::CALLS.of(["Get", "ok"]).increment(2);
            sample::QUIET.set(1.5);
        });
        let told = recorder.handle().render();
        assert!(
            told.contains("sample_calls_total{method=\"Get\",code=\"ok\"} 2\n"),
            "{told}"
        );
        assert!(told.contains("sample_quiet_seconds 1.5\n"), "{told}");
    }

    #[test]
    fn o26_what_has_not_happened_yet_stands_at_nothing_with_its_meaning() {
        let recorder = crate::testing::recorder();
        for figure in sample::ALL {
            figure.register(&recorder);
        }
        let told = recorder.handle().render();
        assert!(told.contains("# HELP sample_quiet_seconds How long nothing was heard.\n"));
        assert!(told.contains("sample_quiet_seconds 0\n"), "{told}");
    }

    #[test]
    fn o26_the_table_tells_unit_and_labels_of_each() {
        let table = table("sample", sample::ALL);
        for line in [
            "| `sample_calls_total` | counter | number | `method`, `code` | Calls that went wrong. |\n",
            "| `sample_quiet_seconds` | gauge | seconds |  | How long nothing was heard. |\n",
        ] {
            assert!(table.contains(line), "{table}");
        }
    }
}
