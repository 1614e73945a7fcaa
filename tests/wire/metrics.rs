//! A strict reader of Prometheus' text format, version 0.0.4. It shares no code with the server: the rules are those of
//! the format's description ("Exposition formats").

use std::collections::{BTreeMap, BTreeSet};

/// The metrics of one response.
#[derive(Debug)]
pub(crate) struct Metrics {
    values: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads the text.
    ///
    /// # Panics
    /// If a line breaks a rule of the format.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line must end with a line feed");
        let mut found = Self { values: BTreeMap::new(), types: BTreeMap::new() };
        let (mut current, mut finished, mut helped) = (String::new(), BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            let family = if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a text");
                assert!(is_name(name) && !help.is_empty() && helped.insert(name.to_string()), "{line}");
                name.to_string()
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(current == name, "TYPE comes after HELP and before the values: {line}");
                assert!(found.types.insert(name.into(), kind.into()).is_none(), "{line}");
                name.to_string()
            } else {
                found.add(line)
            };
            if family != current {
                // All lines of one metric are one group.
                assert!(finished.insert(family.clone()), "{line} is not beside the others of its metric");
                current = family;
            }
        }
        found.check();
        found
    }

    /// Takes a line with a value; returns the name of its metric.
    fn add(&mut self, line: &str) -> String {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line:?}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("not a number: {line:?}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert!(is_name(name), "{line}");
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no brace: {line:?}"));
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("no label: {line:?}"));
            let value = value.strip_suffix('"').unwrap_or_else(|| panic!("no quote: {line:?}"));
            assert!(is_name(name) && !name.contains(':') && !value.contains(['"', '\n']), "{line}");
        }
        assert!(self.values.insert(series.into(), value).is_none(), "twice: {line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let is_histogram = |name: &&str| self.types.get(*name).is_some_and(|kind| kind == "histogram");
        let family = family.filter(is_histogram).unwrap_or(name);
        assert!(self.types.contains_key(family), "no TYPE before {line}");
        family.into()
    }

    /// Checks names of counters, and the sums of histograms.
    fn check(&self) {
        assert!(self.types.len() > 10, "{:?}", self.types);
        for (name, kind) in &self.types {
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
            if kind == "histogram" {
                let prefix = format!("{name}_bucket{{le=\"");
                let mut buckets: Vec<(f64, f64)> = self
                    .values
                    .iter()
                    .filter_map(|(series, count)| {
                        let bound = series.strip_prefix(&prefix)?.strip_suffix("\"}")?;
                        Some((if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? }, *count))
                    })
                    .collect();
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.windows(2).all(|two| two[0].1 <= two[1].1), "cumulative: {buckets:?}");
                let last = buckets.last().expect("a bucket");
                assert_eq!(*last, (f64::INFINITY, self.value(&format!("{name}_count"))));
                assert!(self.value(&format!("{name}_sum")) >= 0.0);
            }
        }
    }

    /// The value of a series, with its labels.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| panic!("no {series} in {:?}", self.values.keys()))
    }

    /// The sum of all series of a metric.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let is_of = |series: &&String| {
            series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        self.values.keys().filter(is_of).map(|series| self.values[series]).sum()
    }

    /// The series that never go back.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (&String, f64)> {
        let is_counter = |series: &String| {
            let name = series.split('{').next().unwrap_or_default();
            name.ends_with("_total") || name.ends_with("_bucket") || name.ends_with("_count")
        };
        self.values
            .iter()
            .filter(move |(series, _)| is_counter(series))
            .map(|(series, value)| (series, *value))
    }
}

fn is_name(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || b"_:".contains(&byte);
    name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}
