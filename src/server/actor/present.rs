//! What the client sees of a document: its lens, its hints and its diagnostics.

use super::*;
use show::{Hint, report};
use tower_lsp::lsp_types::{DocumentDiagnosticReport, InlayHint, Range};

impl Refreshes {
    fn of(&mut self, what: Shown) -> &mut Refresh {
        match what {
            Shown::Lenses => &mut self.lenses,
            Shown::Hints => &mut self.hints,
            Shown::Diagnostics => &mut self.diagnostics,
        }
    }
}

impl Actor {
    pub(super) fn show(&mut self, path: &Path) {
        self.show_lens(path);
        self.show_hints(path);
        self.publish(path);
    }

    /// Keeps the lens that the client is offered, and has it ask again if that became another.
    pub(super) fn show_lens(&mut self, path: &Path) {
        let Some(document) = self.documents.get_mut(path) else {
            return;
        };
        let title = Some(&*document)
            .filter(|document| document.config.code_lens)
            .and_then(|document| show::title(document, &self.judge));
        if document.title != title {
            document.title = title;
            self.refresh(Shown::Lenses);
        }
    }

    /// The same for hints. While the text is newer than its score the client keeps what it has.
    fn show_hints(&mut self, path: &Path) {
        let encoding = self.abilities.encoding;
        let Some(document) = self.documents.get_mut(path).filter(|doc| doc.is_current()) else {
            return;
        };
        let hints = show::hints(document, &self.judge, encoding);
        if document.hints != hints {
            document.hints = hints;
            self.refresh(Shown::Hints);
        }
    }

    /// The hints in `range`.
    pub(super) fn hints(&mut self, path: &Path, range: Range) -> Vec<InlayHint> {
        self.touch(path);
        let Some(document) = self.documents.get(path).filter(|doc| doc.is_current()) else {
            return Vec::new();
        };
        let hints = document.hints.iter();
        hints
            .filter(|hint| (range.start..=range.end).contains(&hint.position))
            .map(Hint::to_lsp)
            .collect()
    }

    /// Tells the client to ask again, if it can be told. It is told once at a time.
    fn refresh(&mut self, what: Shown) {
        let is_able = match what {
            Shown::Lenses => self.abilities.lens_refresh,
            Shown::Hints => self.abilities.hint_refresh,
            Shown::Diagnostics => self.abilities.pull_diagnostics,
        };
        if !is_able {
            return;
        }
        let state = self.refreshes.of(what);
        *state = match *state {
            Refresh::Idle => Refresh::Told,
            Refresh::Told | Refresh::TellAgain => Refresh::TellAgain,
        };
        if *state == Refresh::Told {
            self.outbox.refresh(what);
        }
    }

    pub(super) fn refreshed(&mut self, what: Shown) {
        let state = std::mem::take(self.refreshes.of(what));
        if state == Refresh::TellAgain {
            self.refresh(what);
        }
    }

    /// The diagnostics for a client that asks for them and has the report `previous`.
    pub(super) fn report(
        &mut self,
        path: &Path,
        previous: Option<String>,
    ) -> DocumentDiagnosticReport {
        self.touch(path);
        let Some(document) = self.documents.get(path) else {
            return report::full(Vec::new());
        };
        let Abilities {
            encoding,
            related_information,
            ..
        } = self.abilities;
        let current = Some(document)
            .filter(|document| document.is_current())
            .and_then(|doc| show::diagnostics(doc, &self.judge, encoding, related_information));
        match (current, previous) {
            (Some(items), previous) => report::since(previous, items),
            // Until the score is there the client moves what it has along with the text.
            (None, Some(previous)) => report::unchanged(previous),
            (None, None) => report::full(Vec::new()),
        }
    }

    pub(super) fn publish(&mut self, path: &Path) {
        let Abilities {
            encoding,
            related_information,
            ..
        } = self.abilities;
        let Some(document) = self.documents.get_mut(path).filter(|doc| doc.is_current()) else {
            return;
        };
        let diagnostics = show::diagnostics(document, &self.judge, encoding, related_information);
        let Some(diagnostics) = diagnostics else {
            return;
        };
        let has_some = |published: &(i32, Vec<_>)| !published.1.is_empty();
        let next = (document.version, diagnostics);
        let before = document.published.as_ref();
        let is_news = before != Some(&next) && (has_some(&next) || before.is_some_and(has_some));
        // A client that cannot be told to ask for lenses again, such as Neovim 0.11, can still
        // hook the arrival of diagnostics; so these come whenever the lens has changed.
        let lens_is_news =
            !self.abilities.lens_refresh && document.title != document.published_title;
        if !(is_news || lens_is_news) {
            return;
        }
        let (version, diagnostics) = next.clone();
        document.published = Some(next);
        document.published_title = document.title.clone();
        if self.abilities.pull_diagnostics {
            return self.refresh(Shown::Diagnostics);
        }
        self.outbox
            .publish(document.uri.clone(), version, diagnostics);
    }
}
