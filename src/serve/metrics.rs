//! What happened so far, in the text format that Prometheus reads (version 0.0.4).
//!
//! Invariant: labels come from fixed lists, so no client can make the number of series grow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of every histogram, in seconds.
const BOUNDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What became of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// The model computed it.
    Computed,
    /// It was remembered.
    Remembered,
    /// There was nothing that could be judged.
    Refused,
    /// The model failed.
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::Remembered => "remembered",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Counts and times. Shared between all requests.
#[derive(Debug, Default)]
pub(super) struct Metrics(Mutex<Tallies>);

#[derive(Debug, Default)]
struct Tallies {
    requests: BTreeMap<(String, u16), u64>,
    latency: BTreeMap<String, Histogram>,
    patches: BTreeMap<Outcome, u64>,
    scoring: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.count += 1;
        self.seconds += seconds;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS.iter().map(ToString::to_string);
        let counts = self.buckets.iter().copied();
        let all = [("+Inf".to_owned(), self.count)];
        for (bound, count) in bounds.zip(counts).chain(all) {
            line(
                out,
                format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}"),
            );
        }
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        line(out, format_args!("{name}_sum{labels} {}", self.seconds));
        line(out, format_args!("{name}_count{labels} {}", self.count));
    }
}

/// What is true at the moment of asking.
pub(super) struct Now<'a> {
    pub(super) waiting: usize,
    pub(super) capacity: usize,
    pub(super) model: &'a str,
    pub(super) version: &'a str,
    pub(super) calibration: &'a str,
}

impl Metrics {
    /// A request to one of our routes was answered.
    pub(super) fn answered(&self, route: &str, status: u16, time: Duration) {
        let mut tallies = self.lock();
        *tallies.requests.entry((route.into(), status)).or_default() += 1;
        tallies.latency.entry(route.into()).or_default().add(time);
    }

    /// A patch has its answer, after `time` of waiting and computing.
    pub(super) fn patch(&self, outcome: Outcome, time: Duration) {
        let mut tallies = self.lock();
        *tallies.patches.entry(outcome).or_default() += 1;
        if outcome == Outcome::Computed {
            tallies.scoring.add(time);
        }
    }

    /// How long it may take until there are places for so many more patches, from what a score took
    /// so far: whole seconds, from 1 to 60.
    pub(super) fn time_for(&self, patches: usize) -> Duration {
        let tallies = self.lock();
        let mean = match tallies.scoring.count {
            0 => 1.0,
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            count => tallies.scoring.seconds / count as f64,
        };
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = (mean * patches as f64).ceil().clamp(1.0, 60.0);
        Duration::from_secs_f64(seconds)
    }

    /// All of it as text.
    pub(super) fn text(&self, now: &Now<'_>) -> String {
        let tallies = self.lock();
        let mut out = String::new();
        let head = |name: &str, kind: &str, help: &str, out: &mut String| {
            line(out, format_args!("# HELP {name} {help}"));
            line(out, format_args!("# TYPE {name} {kind}"));
        };
        let name = "diffidence_requests_total";
        head(name, "counter", "Requests by route and status.", &mut out);
        for ((route, status), count) in &tallies.requests {
            line(
                &mut out,
                format_args!("{name}{{route=\"{route}\",status=\"{status}\"}} {count}"),
            );
        }
        let name = "diffidence_request_seconds";
        head(name, "histogram", "Time to answer a request.", &mut out);
        for (route, histogram) in &tallies.latency {
            histogram.write(name, &format!("route=\"{route}\""), &mut out);
        }
        let name = "diffidence_patches_total";
        head(name, "counter", "Patches by what became of them.", &mut out);
        for (outcome, count) in &tallies.patches {
            let outcome = outcome.name();
            line(
                &mut out,
                format_args!("{name}{{outcome=\"{outcome}\"}} {count}"),
            );
        }
        let name = "diffidence_score_seconds";
        let help = "Time from the question to a computed score, waiting included.";
        head(name, "histogram", help, &mut out);
        tallies.scoring.write(name, "", &mut out);
        let name = "diffidence_queue_patches";
        head(
            name,
            "gauge",
            "Patches that wait or are computed.",
            &mut out,
        );
        line(&mut out, format_args!("{name} {}", now.waiting));
        let name = "diffidence_queue_capacity";
        head(
            name,
            "gauge",
            "Patches that may wait or be computed.",
            &mut out,
        );
        line(&mut out, format_args!("{name} {}", now.capacity));
        let name = "diffidence_model_info";
        head(name, "gauge", "Which model answers.", &mut out);
        line(
            &mut out,
            format_args!(
                "{name}{{name=\"{}\",version=\"{}\",calibration=\"{}\"}} 1",
                escaped(now.model),
                escaped(now.version),
                escaped(now.calibration)
            ),
        );
        out
    }

    /// The tallies are right at every point where a holder can panic, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Tallies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes all that is written.
    let _ = writeln!(out, "{text}");
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_labels_escaped() {
        let metrics = Metrics::default();
        metrics.answered("/score", 200, Duration::from_millis(20));
        metrics.answered("/score", 200, Duration::from_secs(60));
        metrics.patch(Outcome::Computed, Duration::from_millis(300));
        metrics.patch(Outcome::Remembered, Duration::ZERO);
        let text = metrics.text(&Now {
            waiting: 1,
            capacity: 8,
            model: "a\"b",
            version: "1",
            calibration: "c",
        });
        for expected in [
            "diffidence_requests_total{route=\"/score\",status=\"200\"} 2\n",
            "diffidence_request_seconds_bucket{route=\"/score\",le=\"0.01\"} 0\n",
            "diffidence_request_seconds_bucket{route=\"/score\",le=\"0.025\"} 1\n",
            "diffidence_request_seconds_bucket{route=\"/score\",le=\"30\"} 1\n",
            "diffidence_request_seconds_bucket{route=\"/score\",le=\"+Inf\"} 2\n",
            "diffidence_request_seconds_count{route=\"/score\"} 2\n",
            "diffidence_score_seconds_bucket{le=\"0.5\"} 1\n",
            "diffidence_score_seconds_count 1\n",
            "diffidence_patches_total{outcome=\"computed\"} 1\n",
            "diffidence_patches_total{outcome=\"remembered\"} 1\n",
            "diffidence_queue_patches 1\n",
            "diffidence_model_info{name=\"a\\\"b\",version=\"1\",calibration=\"c\"} 1\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    }
}
