//! Judges the records of a stream side by side, ahead of whoever takes the verdicts.
//!
//! Invariant: verdicts come in the order of the records, each as soon as it is known and those
//! before it are taken, whether or not there is another line to read yet.

use super::records::{self, LineError, Record};
use super::score::{Coming, Failure, Judged};
use crate::scoring::Engine;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Select, TryRecvError, bounded, never};
use std::collections::VecDeque;
use std::path::Path;

/// Records that are read before the verdict on the first of them is known: enough for many cores.
pub(super) const AHEAD: usize = 64;

/// A record of a line, with its verdict.
pub(super) type Taken = Result<(Record, Result<Judged, Failure>), LineError>;

/// Records with their verdicts.
pub(super) struct Ahead<'a> {
    engine: &'a Engine,
    /// None after the last line.
    lines: Option<Receiver<Result<(u64, Record), LineError>>>,
    asked: VecDeque<Asked>,
    /// What is done to a record before it is judged.
    prepare: Box<dyn Fn(&mut Record) + 'a>,
}

/// A line whose record was asked about.
type Asked = Result<(Record, Result<Coming, Failure>), LineError>;

impl<'a> Ahead<'a> {
    /// Starts to read `path`, on a thread of its own: a line may be written only once the answer to
    /// the one before is there.
    pub(super) fn of(path: &Path, engine: &'a Engine) -> Result<Self> {
        let lines =
            records::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (send, receive) = bounded(AHEAD);
        let read = move || {
            for record in records::records(lines) {
                if send.send(record).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("records".into())
            .spawn(read)
            .context("cannot start a thread that reads")?;
        Ok(Self {
            engine,
            lines: Some(receive),
            asked: VecDeque::new(),
            prepare: Box::new(|_| {}),
        })
    }

    /// Does something to each record before it is judged.
    pub(super) fn prepared(self, prepare: impl Fn(&mut Record) + 'a) -> Self {
        Self {
            prepare: Box::new(prepare),
            ..self
        }
    }

    fn ask(&mut self, line: Result<(u64, Record), LineError>) {
        self.asked.push_back(line.map(|(line, mut record)| {
            (self.prepare)(&mut record);
            let coming = Coming::ask(&record, line, self.engine);
            (record, coming)
        }));
    }

    /// Waits until the first verdict is there, and asks about what is read meanwhile.
    fn wait(&mut self) {
        while let Some(Ok((_, Ok(first)))) = self.asked.front()
            && first.verdict.is_empty()
        {
            let lines = self.lines.clone().filter(|_| self.asked.len() < AHEAD);
            let lines = lines.unwrap_or_else(never);
            let mut select = Select::new();
            select.recv(&first.verdict);
            let line = select.recv(&lines);
            if select.ready() == line {
                match lines.try_recv() {
                    Ok(line) => self.ask(line),
                    Err(TryRecvError::Disconnected) => self.lines = None,
                    Err(TryRecvError::Empty) => {}
                }
            } else if first.verdict.is_empty() {
                // Its sender is gone: the engine has stopped.
                return;
            }
        }
    }
}

impl Iterator for Ahead<'_> {
    type Item = Taken;

    fn next(&mut self) -> Option<Taken> {
        if self.asked.is_empty() {
            let line = self.lines.as_ref()?.recv().ok()?;
            self.ask(line);
        }
        self.wait();
        let asked = self.asked.pop_front()?;
        Some(asked.map(|(record, coming)| (record, coming.and_then(Coming::wait))))
    }
}
