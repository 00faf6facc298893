//! Carrying out the commands of code actions.

use super::super::actions::Reviewed;
use super::super::actions::{ActionRequest, Done, Order, What, offered};
use super::super::event::Reply;
use super::looks::Urgency;
use super::*;
use crate::change::{Base, FileChange, LineKind, Patch};
use crate::review::{EntryId, HunkId, Ignored, Label, Mark, Place, ReviewError, Scope, now};
use crate::scoring::Opinion;
use serde_json::json;
use tower_lsp::lsp_types::CodeActionOrCommand;

/// What there is to act on.
struct ChangedFile<'a> {
    config: &'a Config,
    reviewed: &'a Reviewed,
    change: &'a FileChange,
    task: Option<&'a str>,
    verdict: Option<&'a Verdict>,
}

/// Writes what the user said; runs where it may wait for the disk.
type Saying = Box<dyn FnOnce(&Reviews) -> Result<(), ReviewError> + Send>;

impl Actor {
    pub(super) fn code_actions(
        &self,
        file: &File,
        request: &ActionRequest,
    ) -> Vec<CodeActionOrCommand> {
        self.documents
            .get(&file.path)
            .map(|document| offered(document, request, &self.judge, &self.abilities))
            .unwrap_or_default()
    }

    /// Answers at once, or by [`Actor::reviewed`] what has to be written first.
    pub(super) fn obey(&mut self, order: Order, reply: Reply<Result<Value, String>>) {
        let path = order.file.path;
        let answer = match &order.what {
            What::Rescore => self.rescore(&path),
            What::ShowDiff => self.show_diff(&path),
            What::Ignore(_) | What::StopIgnoring(_) | What::Mark { .. } => {
                match self.saying(&path, &order.what) {
                    Ok(saying) => return self.say(path, &order.what, saying, reply),
                    Err(problem) => Err(problem),
                }
            }
        };
        let _ = reply.send(answer);
    }

    /// The change of a file that is open, or on the list of its repository.
    fn changed_file(&self, path: &Path) -> Result<ChangedFile<'_>, String> {
        let Some(document) = self.documents.get(path) else {
            let mut listed = self
                .surveys
                .values()
                .filter_map(|survey| survey.listed(path));
            let (listing, file) = listed.next().ok_or("the file is neither open nor listed")?;
            return Ok(ChangedFile {
                config: &listing.config,
                reviewed: &file.reviewed,
                change: file.change().ok_or("the file has no changes to score")?,
                task: listing.task.as_deref(),
                verdict: file.score.verdict(),
            });
        };
        let Standing::Changed(changed) = &document.standing else {
            return Err("the file has no scored changes".into());
        };
        Ok(ChangedFile {
            config: &document.config,
            reviewed: &document.reviewed,
            change: &changed.change,
            task: changed.task.as_deref(),
            verdict: match &changed.score {
                Scoring::Done(verdict) => Some(verdict),
                _ => None,
            },
        })
    }

    fn rescore(&mut self, path: &Path) -> Result<Value, String> {
        let job = self.tick();
        let EngineSlot::Running(engine) = &self.engine else {
            return Err("the scoring thread does not run: see the status".into());
        };
        let engine = Arc::clone(engine);
        let document = self.documents.get_mut(path).ok_or("the file is not open")?;
        let Standing::Changed(changed) = &mut document.standing else {
            self.look_at(path, Urgency::Now);
            return Ok(Value::Null);
        };
        changed.score = Scoring::Waiting(job);
        document.touched = job;
        let rank = rank(document);
        let Standing::Changed(changed) = &document.standing else {
            return Ok(Value::Null);
        };
        let request = request(&changed.change, changed.task.as_deref());
        self.show_lens(path);
        self.make_room();
        let (events, path) = (self.events.clone(), path.to_owned());
        engine.submit_afresh(slot(&path), rank, request, move |result| {
            drop(events.send(Event::Scored { path, job, result }));
        });
        Ok(Value::Null)
    }

    /// The diff as the command's result, for clients that can show it, and what is in it in words.
    fn show_diff(&self, path: &Path) -> Result<Value, String> {
        let ChangedFile { config, change, .. } = self.changed_file(path)?;
        let base = Base::parse(&config.base).to_string();
        let count = |kind| -> usize { change.hunks.iter().map(|hunk| hunk.count(kind)).sum() };
        let text = format!(
            "{}: {} lines added and {} removed in {} hunks against {base}",
            change.path(),
            count(LineKind::Added),
            count(LineKind::Removed),
            change.hunks.len(),
        );
        self.outbox.show(MessageType::INFO, text);
        let files = vec![change.clone()];
        Ok(json!({"base": base, "diff": Patch { files }.to_unified()}))
    }

    fn saying(&self, path: &Path, what: &What) -> Result<Saying, String> {
        let ChangedFile {
            config,
            reviewed,
            change,
            task,
            verdict,
        } = self.changed_file(path)?;
        let find = |id: &HunkId| {
            change
                .hunks
                .iter()
                .position(|hunk| HunkId::of(change, hunk) == *id)
                .ok_or("the hunk has changed meanwhile")
        };
        let place = |id: &HunkId| Place::new(&reviewed.root, change.path(), id.clone());
        let patch = |index: usize| {
            let hunks = change.hunks.get(index).cloned().into_iter().collect();
            let file = FileChange {
                hunks,
                ..change.clone()
            };
            Patch { files: vec![file] }.to_unified()
        };
        Ok(match what {
            What::Ignore(id) => {
                let ignored = Ignored {
                    patch: patch(find(id)?),
                    place: place(id),
                    time: now(),
                };
                Box::new(move |reviews| reviews.ignore(&ignored).map(drop))
            }
            What::StopIgnoring(id) => {
                let id = EntryId::of(&place(id));
                Box::new(move |reviews| reviews.unignore(&id).map(drop))
            }
            What::Mark { label, hunk } => {
                let verdict = verdict.ok_or("the file is not scored yet")?;
                let verdict = self.judge.judge_again(verdict, config.prior);
                let index = hunk.as_ref().map(find).transpose()?;
                let score = index.and_then(|index| verdict.hunks.get(index));
                let score = match score.unwrap_or(&verdict.patch) {
                    Opinion::Score(score) => *score,
                    Opinion::Abstention(why) => {
                        return Err(format!("there is no score to mark: cannot judge: {why}"));
                    }
                };
                let whole = || {
                    Patch {
                        files: vec![change.clone()],
                    }
                    .to_unified()
                };
                let of_file = || HunkId::of_file(change);
                let mark = Mark {
                    place: place(&hunk.clone().unwrap_or_else(of_file)),
                    scope: scope_of(hunk.as_ref()),
                    label: *label,
                    patch: index.map_or_else(whole, patch),
                    task: task.map(Into::into),
                    probability: score.probability,
                    logit: score.logit,
                    model: verdict.model.clone(),
                    calibration: verdict.calibration.clone(),
                    time: now(),
                };
                Box::new(move |reviews| reviews.mark(&mark).map(drop))
            }
            What::Rescore | What::ShowDiff => Box::new(|_| Ok(())),
        })
    }

    fn say(&self, path: PathBuf, what: &What, saying: Saying, reply: Reply<Result<Value, String>>) {
        let notice = match what {
            What::Mark { label, hunk } => Some(marked(*label, scope_of(hunk.as_ref()))),
            _ => None,
        };
        let (events, reviews) = (self.events.clone(), Arc::clone(&self.reviews));
        tokio::task::spawn_blocking(move || {
            let done = Done {
                result: saying(&reviews).map_err(|error| error.to_string()),
                path,
                notice,
                reply,
            };
            drop(events.send(Event::Reviewed(done)));
        });
    }

    pub(super) fn reviewed(&mut self, done: Done) {
        if done.result.is_ok() {
            self.look_at(&done.path, Urgency::Now);
            self.touch_surveys();
            if let Some(notice) = done.notice {
                self.outbox.show(MessageType::INFO, notice);
            }
        }
        let _ = done.reply.send(done.result.map(|()| Value::Null));
    }
}

fn scope_of(hunk: Option<&HunkId>) -> Scope {
    if hunk.is_some() {
        Scope::Hunk
    } else {
        Scope::File
    }
}

fn marked(label: Label, scope: Scope) -> String {
    format!("Marked the {scope} as {label}, on this machine only: see `diffidence review list`")
}
