//! Comparing candidate patches, and applying one.
//!
//! Invariant: each question runs beside the actor, with what it needs of the state as it was when it
//! was asked. Of comparisons only the newest goes on, and none that nobody waits for; what is open
//! is scored first.

use super::super::compare::{
    AnswerReply, Ask, AskComparison, OpenText, Question, choices, edit, file, look, slot,
};
use super::*;
use serde_json::json;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// The comparison that runs.
pub(super) struct Comparing {
    pub(super) slot: Slot,
    /// Ends it when it is dropped.
    _going_on: oneshot::Sender<()>,
}

impl Actor {
    pub(super) fn ask_about_candidates(&mut self, ask: Ask, reply: AnswerReply) {
        let named = ask.place().path();
        let path = match named.and_then(|path| path.map_or_else(|| self.only_repository(), Ok)) {
            Ok(path) => path,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let documents = self.documents.iter();
        let question = Question {
            path,
            config: self.config.clone(),
            tasks: self.tasks.clone(),
            buffers: documents
                .map(|(path, doc)| (path.clone(), doc.text.clone()))
                .collect(),
        };
        match ask {
            Ask::Candidates(_) => answer(reply, move || choices(question.ground()?)),
            Ask::File(ask) => answer(reply, move || file(&question.ground()?, &ask)),
            Ask::Compare(ask) => self.compare(question, ask, reply),
            Ask::Apply(ask) => {
                let (open, abilities) = (self.open_texts(), self.abilities.clone());
                if !abilities.applies_edits {
                    let problem = "this editor does not let a server edit files".to_owned();
                    return drop(reply.send(Err(problem)));
                }
                let editor = self.outbox.editor();
                tokio::spawn(async move {
                    let edit = blocking(move || {
                        let ground = question.ground()?;
                        let seen = ask.read(&ground)?;
                        // The client may have come by a symbolic link.
                        let open = open
                            .into_iter()
                            .map(|(path, text)| (path.canonicalize().unwrap_or(path), text));
                        let open = open.collect();
                        edit(&seen, &ground.root, &open, abilities.encoding)
                    });
                    let done = match edit.await {
                        Ok((edit, files)) => {
                            let applied = editor.apply(edit).await;
                            applied.map(|()| json!({"files": files}))
                        }
                        Err(problem) => Err(problem),
                    };
                    drop(reply.send(done));
                });
            }
        }
    }

    fn open_texts(&self) -> HashMap<PathBuf, OpenText> {
        let documents = self.documents.iter();
        let open = |(path, doc): (&PathBuf, &Document)| {
            let text = OpenText {
                uri: doc.uri.clone(),
                version: doc.version,
                text: doc.text.clone(),
            };
            (path.clone(), text)
        };
        documents.map(open).collect()
    }

    fn compare(&mut self, question: Question, ask: AskComparison, mut reply: AnswerReply) {
        let slot = slot(self.tick());
        let engine = match &self.engine {
            EngineSlot::Running(engine) => Arc::clone(engine),
            EngineSlot::Waiting(_) => {
                return drop(reply.send(Err("the server is still starting".into())));
            }
            EngineSlot::Broken(reason) => return drop(reply.send(Err(reason.clone()))),
        };
        let (going_on, replaced) = oneshot::channel();
        self.comparing = Some(Comparing {
            slot: slot.clone(),
            _going_on: going_on,
        });
        let judge = self.judge.clone();
        tokio::spawn(async move {
            let comparison = comparison(question, ask, &engine, &slot, &judge);
            let done = tokio::select! {
                done = comparison => done,
                _ = replaced => Err("another comparison was asked for meanwhile".into()),
                () = reply.closed() => Err("nobody waits for it".into()),
            };
            engine.cancel(&slot);
            drop(reply.send(done));
        });
    }

    /// What runs for a comparison makes room for what is open, and is begun again.
    pub(super) fn put_off_comparison(&self) {
        if let (EngineSlot::Running(engine), Some(comparing)) = (&self.engine, &self.comparing) {
            engine.cancel(&comparing.slot);
        }
    }
}

async fn comparison(
    question: Question,
    ask: AskComparison,
    engine: &Engine,
    slot: &Slot,
    judge: &Judge,
) -> Result<Value, String> {
    let sight = blocking(move || look(question.ground()?, ask)).await?;
    let mut verdicts = Vec::new();
    for (_, request) in &sight.seen {
        verdicts.push(score(engine, slot, request).await);
    }
    sight.comparison(verdicts, judge)
}

/// Scores, and begins again when something that is open had to go first.
async fn score(engine: &Engine, slot: &Slot, request: &ScoreRequest) -> Result<Verdict, String> {
    loop {
        let (send, scored) = oneshot::channel();
        engine.submit(slot.clone(), Rank::default(), request.clone(), |result| {
            drop(send.send(result));
        });
        match scored.await.unwrap_or(Err(ScoreError::Stopped)) {
            Ok(verdict) => return Ok(verdict),
            Err(ScoreError::Cancelled) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Runs what takes its time where it may.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(run)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "reading candidates panicked");
            Err("internal error: see the server's log".into())
        })
}

fn answer(reply: AnswerReply, run: impl FnOnce() -> Result<Value, String> + Send + 'static) {
    tokio::spawn(async move {
        drop(reply.send(blocking(run).await));
    });
}
