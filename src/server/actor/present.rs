//! What the client sees of a document: its lens and its diagnostics.

use super::*;

impl Actor {
    pub(super) fn show(&mut self, path: &Path) {
        self.show_lens(path);
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
            self.refresh_lenses();
        }
    }

    pub(super) fn refresh_lenses(&mut self) {
        if !self.abilities.lens_refresh {
            return;
        }
        self.refresh = match self.refresh {
            Refresh::Idle => {
                self.outbox.refresh_lenses();
                Refresh::Asked
            }
            Refresh::Asked | Refresh::AskAgain => Refresh::AskAgain,
        };
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
        self.outbox
            .publish(document.uri.clone(), version, diagnostics);
    }
}
