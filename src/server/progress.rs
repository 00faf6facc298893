//! Work done progress: shown when scoring takes longer than a moment, gone when it is done.
//!
//! Invariants: nothing is begun that the client did not agree to show, what was begun is ended
//! once, and the percentage never falls. This module decides what to say; it must not send.

use crate::model::TokensRead;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;
use tower_lsp::lsp_types::{
    NumberOrString, ProgressParams, ProgressParamsValue, ProgressToken, WorkDoneProgress,
    WorkDoneProgressBegin, WorkDoneProgressEnd, WorkDoneProgressReport,
};

/// Scoring that takes no longer is not worth a moving bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// How often to say how many tokens were read.
const PAUSE: Duration = Duration::from_millis(500);

/// What to tell the client next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Ask whether it shows progress under this token.
    Create(ProgressToken),
    /// `$/progress`.
    Say(ProgressParams),
}

/// The progress of what is being scored.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stage: Stage,
    /// Tokens used so far.
    count: u32,
    /// Files that were pending at some time of this stretch of work.
    seen: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    /// Something is pending since a moment.
    Patient {
        until: Instant,
    },
    Asked(ProgressToken),
    /// The client shows no progress; it is not asked again before all is done.
    Refused,
    Shown {
        token: ProgressToken,
        last: Extent,
        /// When to look how many tokens were read.
        next: Instant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    done: usize,
    all: usize,
    /// Of the file that the model has.
    tokens: Option<TokensRead>,
    percentage: u32,
}

impl Progress {
    /// When to call [`Progress::update`] although nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Patient { until } => Some(until),
            Stage::Shown { next, .. } => Some(next),
            _ => None,
        }
    }

    /// Takes in what is pending now. `tokens` tells how far the model is with one of it, and is asked
    /// only if that is shown.
    pub(super) fn update(
        &mut self,
        pending: &BTreeSet<&Path>,
        tokens: impl FnOnce() -> Option<TokensRead>,
        now: Instant,
    ) -> Option<Step> {
        if pending.is_empty() {
            self.seen.clear();
            return match std::mem::take(&mut self.stage) {
                Stage::Shown { token, .. } => {
                    let end = WorkDoneProgressEnd::default();
                    Some(say(token, WorkDoneProgress::End(end)))
                }
                _ => None,
            };
        }
        for path in pending {
            if !self.seen.contains(*path) {
                self.seen.insert((*path).to_owned());
            }
        }
        let done = self.seen.len() - pending.len();
        match &mut self.stage {
            Stage::Idle => {
                let until = now + PATIENCE;
                self.stage = Stage::Patient { until };
                None
            }
            Stage::Patient { until } if *until <= now => {
                self.count += 1;
                let token = NumberOrString::String(format!("diffidence/{}", self.count));
                self.stage = Stage::Asked(token.clone());
                Some(Step::Create(token))
            }
            Stage::Patient { .. } | Stage::Asked(_) | Stage::Refused => None,
            Stage::Shown { token, last, next } => {
                let extent = Extent::of(done, self.seen.len(), tokens(), last.percentage);
                let is_due = *next <= now;
                if is_due {
                    *next = now + PAUSE;
                }
                let same_files = (extent.done, extent.all) == (last.done, last.all);
                if extent == *last || same_files && !is_due {
                    return None;
                }
                *last = extent;
                let report = WorkDoneProgressReport {
                    cancellable: Some(true),
                    message: Some(extent.message()),
                    percentage: Some(extent.percentage),
                };
                Some(say(token.clone(), WorkDoneProgress::Report(report)))
            }
        }
    }

    /// Takes in whether the client agreed to show progress under `token`.
    pub(super) fn answered(
        &mut self,
        token: ProgressToken,
        agreed: bool,
        pending: usize,
        now: Instant,
    ) -> Option<Step> {
        if !matches!(&self.stage, Stage::Asked(asked) if *asked == token) {
            return None;
        }
        if !agreed {
            self.stage = Stage::Refused;
            return None;
        }
        let all = self.seen.len();
        let last = Extent::of(all.saturating_sub(pending), all, None, 0);
        self.stage = Stage::Shown {
            token: token.clone(),
            last,
            next: now + PAUSE,
        };
        let begin = WorkDoneProgressBegin {
            title: "Scoring changes".into(),
            cancellable: Some(true),
            message: Some(last.message()),
            percentage: Some(last.percentage),
        };
        Some(say(token, WorkDoneProgress::Begin(begin)))
    }

    /// Whether `token` is that of what is shown now.
    pub(super) fn is_shown_as(&self, token: &ProgressToken) -> bool {
        matches!(&self.stage, Stage::Shown { token: shown, .. } if shown == token)
    }
}

impl Extent {
    fn of(done: usize, all: usize, tokens: Option<TokensRead>, at_least: u32) -> Self {
        let begun = tokens.map_or(0, |tokens| tokens.done * 100 / tokens.all);
        let share = u32::try_from((done * 100 + begun) / all.max(1)).unwrap_or(100);
        Self {
            done,
            all,
            tokens,
            percentage: share.max(at_least).min(100),
        }
    }

    fn message(self) -> String {
        let files = if self.all == 1 { "file" } else { "files" };
        let tokens = self.tokens.map_or(String::new(), |tokens| {
            format!(" · {} of {} tokens", tokens.done, tokens.all)
        });
        format!("{} of {} {files}{tokens}", self.done, self.all)
    }
}

fn say(token: ProgressToken, progress: WorkDoneProgress) -> Step {
    Step::Say(ProgressParams {
        token,
        value: ProgressParamsValue::WorkDone(progress),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        progress: Progress,
        now: Instant,
    }

    impl Bench {
        fn update(&mut self, pending: &[&str]) -> Option<Step> {
            let pending = pending.iter().map(Path::new).collect();
            self.progress.update(&pending, || None, self.now)
        }

        /// What is said of one file of which the model has read so many of 300 tokens.
        fn says_of_tokens(&mut self, pending: &[&str], done: usize) -> String {
            let pending = pending.iter().map(Path::new).collect();
            let tokens = Some(TokensRead { done, all: 300 });
            words(self.progress.update(&pending, || tokens, self.now))
        }

        /// The same, in words.
        fn says(&mut self, pending: &[&str]) -> String {
            words(self.update(pending))
        }
    }

    fn words(step: Option<Step>) -> String {
        match step {
            None => "nothing".into(),
            Some(Step::Create(_)) => "create".into(),
            Some(Step::Say(params)) => {
                let ProgressParamsValue::WorkDone(progress) = params.value;
                match progress {
                    WorkDoneProgress::Begin(begin) => {
                        format!("begin {} {:?}", begin.message.unwrap(), begin.percentage)
                    }
                    WorkDoneProgress::Report(report) => {
                        format!("report {} {:?}", report.message.unwrap(), report.percentage)
                    }
                    WorkDoneProgress::End(_) => "end".into(),
                }
            }
        }
    }

    fn bench() -> Bench {
        Bench {
            progress: Progress::default(),
            now: Instant::now(),
        }
    }

    /// Work that takes long enough; returns the token that the client is asked about.
    fn asked(bench: &mut Bench, pending: &[&str]) -> ProgressToken {
        assert_eq!(bench.says(pending), "nothing");
        bench.now = bench.progress.due().unwrap();
        match bench.update(pending) {
            Some(Step::Create(token)) => token,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn quick_work_is_not_shown() {
        let mut bench = bench();
        assert_eq!(bench.says(&["a"]), "nothing");
        bench.now += PATIENCE / 2;
        assert_eq!(bench.says(&["a"]), "nothing");
        assert_eq!(bench.says(&[]), "nothing");
        assert_eq!(bench.progress.due(), None);
    }

    #[test]
    fn long_work_is_begun_reported_and_ended() {
        let mut bench = bench();
        let token = asked(&mut bench, &["a", "b"]);
        assert_eq!(bench.says(&["b"]), "nothing");
        let begin = bench.progress.answered(token.clone(), true, 1, bench.now);
        assert_eq!(words(begin), "begin 1 of 2 files Some(50)");
        assert!(bench.progress.is_shown_as(&token));
        assert_eq!(bench.says(&["b"]), "nothing");
        // More work does not take the bar back.
        assert_eq!(bench.says(&["b", "c", "d"]), "report 1 of 4 files Some(50)");
        assert_eq!(bench.says(&["d"]), "report 3 of 4 files Some(75)");
        assert_eq!(bench.says(&[]), "end");
        assert_eq!(bench.says(&[]), "nothing");
        assert_ne!(asked(&mut bench, &["a"]), token);
    }

    #[test]
    fn tokens_are_told_now_and_then() {
        let mut bench = bench();
        let token = asked(&mut bench, &["a", "b"]);
        bench.progress.answered(token, true, 2, bench.now);
        assert_eq!(bench.says_of_tokens(&["a", "b"], 150), "nothing");
        bench.now = bench.progress.due().unwrap();
        assert_eq!(
            bench.says_of_tokens(&["a", "b"], 150),
            "report 0 of 2 files · 150 of 300 tokens Some(25)"
        );
        assert_eq!(bench.says_of_tokens(&["a", "b"], 200), "nothing");
        // Another file begins: the bar stays where it was.
        assert_eq!(
            bench.says_of_tokens(&["b"], 0),
            "report 1 of 2 files · 0 of 300 tokens Some(50)"
        );
        bench.now = bench.progress.due().unwrap();
        assert_eq!(bench.says_of_tokens(&["b"], 0), "nothing");
        assert!(bench.progress.due().unwrap() > bench.now);
    }

    #[test]
    fn a_refusal_holds_until_all_is_done() {
        let mut bench = bench();
        let token = asked(&mut bench, &["a"]);
        assert_eq!(bench.progress.answered(token, false, 1, bench.now), None);
        assert_eq!(bench.progress.due(), None);
        assert_eq!(bench.says(&["a", "b"]), "nothing");
        assert_eq!(bench.says(&[]), "nothing");
        asked(&mut bench, &["a"]);
    }

    #[test]
    fn an_answer_that_comes_too_late_begins_nothing() {
        let mut bench = bench();
        let token = asked(&mut bench, &["a"]);
        assert_eq!(bench.says(&[]), "nothing");
        assert_eq!(bench.progress.answered(token, true, 0, bench.now), None);
    }
}
