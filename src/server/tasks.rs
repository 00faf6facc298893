//! Descriptions of what the changes of a repository are for, as the client gives them.
//!
//! Invariant: of two descriptions for one repository the one that was given later counts, in
//! whatever order their repositories were found. This module must not know documents.

use super::event::{File, Generation};
use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tower_lsp::lsp_types::{TextDocumentIdentifier, Url};

/// Parameters of `diffidence/setTask` and of the command of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetTask {
    /// The description; none, or nothing but white space, takes it back.
    pub(super) task: Option<String>,
    /// The repository that it is for.
    #[serde(flatten)]
    pub(super) place: Place,
}

/// Names a repository in the parameters of requests and commands.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// A file of the repository.
    text_document: Option<TextDocumentIdentifier>,
    /// A folder of the repository, as a URI or an absolute path.
    root: Option<String>,
}

/// Answer of `diffidence/setTask`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct TaskSet {
    /// Top of the work tree that the description counts for.
    pub(super) root: PathBuf,
    /// The description in force.
    pub(super) task: Option<String>,
}

impl Place {
    /// A path in the repository that is meant, or `None` if none is named.
    pub(super) fn path(&self) -> Result<Option<PathBuf>, String> {
        if let Some(document) = &self.text_document {
            let uri = document.uri.clone();
            let problem = format!("`textDocument` is not a file: {uri}");
            return File::at(uri).map(|file| Some(file.path)).ok_or(problem);
        }
        let Some(root) = &self.root else {
            return Ok(None);
        };
        let path = if root.starts_with("file:") {
            let uri = Url::parse(root).ok();
            uri.and_then(File::at).map(|file| file.path)
        } else {
            Some(PathBuf::from(root)).filter(|path| path.is_absolute())
        };
        let problem = format!("`root` is neither a file URI nor an absolute path: {root}");
        path.map(Some).ok_or(problem)
    }
}

impl SetTask {
    /// The description, if it says anything.
    pub(super) fn description(&self) -> Option<Arc<str>> {
        let task = self.task.as_deref().map(str::trim);
        task.filter(|task| !task.is_empty()).map(Into::into)
    }
}

/// Descriptions by the top of the work tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(BTreeMap<PathBuf, (Generation, Option<Arc<str>>)>);

impl Tasks {
    pub(super) fn of(&self, root: &Path) -> Option<Arc<str>> {
        self.0.get(root)?.1.clone()
    }

    /// The description for a repository: what was given, or else what the file says that the
    /// settings name, with a warning if that cannot be used. Reads the file.
    pub(super) fn in_force(
        &self,
        root: &Path,
        config: &Config,
    ) -> (Option<Arc<str>>, Option<String>) {
        if let Some(given) = self.of(root) {
            return (Some(given), None);
        }
        match config.task(root) {
            Ok(task) => (task.map(Into::into), None),
            Err(warning) => (None, Some(warning.to_string())),
        }
    }

    /// Takes what was given at `time`. Returns whether that changes anything.
    pub(super) fn set(&mut self, root: &Path, time: Generation, task: Option<Arc<str>>) -> bool {
        let before = self.of(root);
        let entry = self.0.entry(root.to_owned()).or_default();
        if entry.0 < time {
            *entry = (time, task);
        }
        before != entry.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(params: serde_json::Value, place: Result<Option<&str>, &str>) {
        let params: SetTask = serde_json::from_value(params).unwrap();
        let expected = place.map(|path| path.map(PathBuf::from));
        assert_eq!(params.place.path(), expected.map_err(str::to_owned));
    }

    #[test]
    fn a_repository_is_named_by_file_folder_or_not_at_all() {
        check(json!({"task": "x"}), Ok(None));
        check(
            json!({"task": null, "root": "/a b", "textDocument": null}),
            Ok(Some("/a b")),
        );
        check(json!({"root": "file:///a%20b"}), Ok(Some("/a b")));
        check(
            json!({"textDocument": {"uri": "file:///a/b.rs"}}),
            Ok(Some("/a/b.rs")),
        );
        check(
            json!({"root": "a"}),
            Err("`root` is neither a file URI nor an absolute path: a"),
        );
        check(
            json!({"textDocument": {"uri": "untitled:1"}}),
            Err("`textDocument` is not a file: untitled:1"),
        );
    }

    #[test]
    fn what_was_given_later_counts_in_whatever_order_it_comes() {
        let mut tasks = Tasks::default();
        let root = Path::new("/a");
        assert!(tasks.set(root, Generation(2), Some("second".into())));
        assert!(!tasks.set(root, Generation(1), Some("first".into())));
        assert_eq!(tasks.of(root).as_deref(), Some("second"));
        assert!(!tasks.set(root, Generation(3), Some("second".into())));
        assert!(tasks.set(root, Generation(4), None));
        assert_eq!(tasks.of(root), None);
    }
}
