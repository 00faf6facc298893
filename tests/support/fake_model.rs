//! A reward model whose logits follow from the text of the changed lines.

use diffidence::calibration::{Calibration, Logit, Probability};
use diffidence::change::{Hunk, Line, LineKind, Patch};
use diffidence::model::{ModelError, ModelIdentity, PatchLogits, RewardModel, Run, SuspectLine};
use diffidence::scoring::{Judge, Loader, Scope};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a test sees of the model and tells it.
#[derive(Debug, Clone, Default)]
pub struct FakeModel {
    /// Patches that were begun.
    pub begun: Arc<AtomicUsize>,
    /// The paths of their first files.
    pub read: Arc<Mutex<Vec<String>>>,
    /// The task descriptions that came with them.
    pub tasks: Arc<Mutex<Vec<Option<String>>>>,
    /// Patches with a `slow` line wait until this is set or they are cancelled.
    pub release: Arc<AtomicBool>,
    /// Whether loading fails.
    pub broken: bool,
    /// What it was trained on; everything if empty.
    pub languages: Vec<String>,
}

/// The logit of one hunk: 12% with `bad` in a changed line, 27% with `poor`, else 87%.
pub fn logit(hunk: &Hunk) -> f64 {
    let says = |word: &str| {
        let mut changed = hunk
            .lines
            .iter()
            .filter(|line| line.kind != LineKind::Context);
        changed.any(|line| line.text.contains(word))
    };
    if says("bad") {
        -2.0
    } else if says("poor") {
        -1.0
    } else {
        1.9
    }
}

/// The first `bad` line of a hunk has most of the blame.
fn suspects(hunk: &Hunk) -> Vec<SuspectLine> {
    let bad = |line: &Line| line.kind != LineKind::Context && line.text.contains("bad");
    let line = hunk.lines.iter().position(bad);
    let share = Probability::new(0.8).unwrap();
    line.map(|line| SuspectLine { line, share })
        .into_iter()
        .collect()
}

impl FakeModel {
    pub fn judge(&self) -> Judge {
        let calibration = Calibration::from_json(
            br#"{"schema":1,"id":"none","default_prior":0.5,
                "patch":{"slope":1,"intercept":0,"reference_prior":0.5},
                "hunk":{"slope":1,"intercept":0,"reference_prior":0.5}}"#,
        )
        .unwrap();
        let scope = Scope::new(self.languages.clone(), None);
        Judge::new(identity(), calibration, None).within(scope)
    }

    pub fn loader(&self) -> Loader {
        let model = self.clone();
        Box::new(move || {
            if model.broken {
                return Err(ModelError::NotFound(PathBuf::from("/nowhere")));
            }
            Ok(Box::new(Running {
                identity: identity(),
                model: model.clone(),
            }))
        })
    }
}

fn identity() -> ModelIdentity {
    ModelIdentity {
        name: "fake".into(),
        version: "1".into(),
        bundle_hash: "0".into(),
        renderer: "patch@1".into(),
    }
}

struct Running {
    identity: ModelIdentity,
    model: FakeModel,
}

impl RewardModel for Running {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn score(
        &self,
        patch: &Patch,
        task: Option<&str>,
        run: &Run,
    ) -> Result<PatchLogits, ModelError> {
        self.model.begun.fetch_add(1, Ordering::SeqCst);
        let path = patch.files.first().map(|file| file.path().to_owned());
        self.model.read.lock().unwrap().extend(path);
        let told = task.map(str::to_owned);
        self.model.tasks.lock().unwrap().push(told);
        let says = |word: &str| {
            let mut lines = patch.hunks().flat_map(|(_, hunk)| &hunk.lines);
            lines.any(|line| line.text.contains(word))
        };
        assert!(!says("crash"), "asked to crash");
        if says("counted") {
            run.expect(200);
            run.advance(50);
        }
        // `deaf` stands for a long operation that cannot be cancelled.
        let (slow, deaf) = (says("slow"), says("deaf"));
        while (slow || deaf) && !self.model.release.load(Ordering::SeqCst) {
            if slow && run.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
            std::thread::yield_now();
        }
        let hunks: Vec<f64> = patch.hunks().map(|(_, hunk)| logit(hunk)).collect();
        let lowest = hunks.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(PatchLogits {
            patch: Logit::new(lowest).unwrap(),
            hunks: hunks
                .iter()
                .map(|&value| Logit::new(value).unwrap())
                .collect(),
            suspects: patch.hunks().map(|(_, hunk)| suspects(hunk)).collect(),
            tokens: 7,
            truncated: false,
            read: Probability::ONE,
        })
    }
}
