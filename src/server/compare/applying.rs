//! The edit that makes a candidate's changes in the editor.
//!
//! Invariants: it makes all of them or none, with the reasons; it is made for the texts that the
//! editor has, so what is not saved is changed as what is saved, or refused, and never lost;
//! nothing outside of the work tree, below `.git` or behind a symbolic link is touched.

use super::super::actions::edits;
use super::super::text::Encoding;
use super::Seen;
use crate::change::diff::diff_texts;
use crate::change::{FileChange, apply};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tower_lsp::lsp_types::{
    CreateFile, DeleteFile, DocumentChangeOperation, DocumentChanges, OneOf,
    OptionalVersionedTextDocumentIdentifier, Position, Range, RenameFile, ResourceOp,
    TextDocumentEdit, TextEdit, Url, WorkspaceEdit,
};

/// Time to find out which lines of a file an edit must name; then it names more than it must.
const DIFF_TIME: Duration = Duration::from_secs(1);

/// Editors take a byte order mark out of the text.
const BOM: char = '\u{feff}';

/// Reasons that are told; more say nothing more.
const MAX_REASONS: usize = 5;

/// The text of an open document.
#[derive(Debug, Clone)]
pub(in crate::server) struct OpenText {
    /// The client's spelling.
    pub(in crate::server) uri: Url,
    pub(in crate::server) version: i32,
    pub(in crate::server) text: String,
}

/// What edits are made for.
struct Desk<'a> {
    root: &'a Path,
    open: &'a HashMap<PathBuf, OpenText>,
    encoding: Encoding,
}

/// A file and its text now.
struct Present {
    uri: Url,
    version: Option<i32>,
    text: String,
}

/// The edit, and the files that it changes. Reads files that are not open.
pub(in crate::server) fn edit(
    seen: &Seen,
    root: &Path,
    open: &HashMap<PathBuf, OpenText>,
    encoding: Encoding,
) -> Result<(WorkspaceEdit, usize), String> {
    let left_out = seen.left_out.iter();
    let mut reasons: Vec<String> = left_out
        .map(|left| format!("{}: {}", left.path, left.reason))
        .collect();
    let desk = Desk {
        root,
        open,
        encoding,
    };
    let mut operations = Vec::new();
    for file in &seen.patch.files {
        match desk.operations(file) {
            Ok(mut more) => operations.append(&mut more),
            Err(reason) => reasons.push(format!("{}: {reason}", file.path())),
        }
    }
    if !reasons.is_empty() {
        let more = reasons.len().saturating_sub(MAX_REASONS);
        reasons.truncate(MAX_REASONS);
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        return Err(format!(
            "{} cannot be applied: {}",
            seen.id,
            reasons.join("; ")
        ));
    }
    let edit = WorkspaceEdit {
        document_changes: Some(DocumentChanges::Operations(operations)),
        ..WorkspaceEdit::default()
    };
    Ok((edit, seen.patch.files.len()))
}

impl Desk<'_> {
    fn operations(&self, file: &FileChange) -> Result<Vec<DocumentChangeOperation>, String> {
        match (&file.old_path, &file.new_path) {
            (None, Some(new)) => self.create(new, file),
            (Some(old), None) => self.delete(old, file),
            (Some(old), Some(new)) if old != new => self.rename(old, new, file),
            (Some(path), _) if !file.hunks.is_empty() => {
                let place = self.place(path)?;
                let present = self.present(&place)?.ok_or("it is not there")?;
                Ok(self.change(&present, &present.uri, present.version, file)?)
            }
            _ => Err("it changes more than lines of text".into()),
        }
    }

    fn create(
        &self,
        path: &str,
        file: &FileChange,
    ) -> Result<Vec<DocumentChangeOperation>, String> {
        let place = self.place(path)?;
        if place.exists() || self.open.contains_key(&place) {
            return Err("it is there already".into());
        }
        let uri = uri(&place)?;
        let text = apply(&file.hunks, "").map_err(|misfit| misfit.to_string())?;
        let create = ResourceOp::Create(CreateFile {
            uri: uri.clone(),
            options: None,
            annotation_id: None,
        });
        let mut operations = vec![DocumentChangeOperation::Op(create)];
        if !text.is_empty() {
            let whole = TextEdit {
                range: Range::new(Position::new(0, 0), Position::new(0, 0)),
                new_text: text,
            };
            operations.push(text_edits(uri, None, vec![whole]));
        }
        Ok(operations)
    }

    fn delete(
        &self,
        path: &str,
        file: &FileChange,
    ) -> Result<Vec<DocumentChangeOperation>, String> {
        let place = self.place(path)?;
        let present = self.saved(&place)?;
        let left = apply(&file.hunks, &present.text).map_err(|misfit| misfit.to_string())?;
        if !left.is_empty() {
            return Err("it has lines that the candidate does not delete".into());
        }
        let delete = ResourceOp::Delete(DeleteFile {
            uri: present.uri,
            options: None,
        });
        Ok(vec![DocumentChangeOperation::Op(delete)])
    }

    fn rename(
        &self,
        old: &str,
        new: &str,
        file: &FileChange,
    ) -> Result<Vec<DocumentChangeOperation>, String> {
        let (from, to) = (self.place(old)?, self.place(new)?);
        let present = self.saved(&from)?;
        if to.exists() || self.open.contains_key(&to) {
            return Err("it is there already".into());
        }
        let to = uri(&to)?;
        let rename = ResourceOp::Rename(RenameFile {
            old_uri: present.uri.clone(),
            new_uri: to.clone(),
            options: None,
            annotation_id: None,
        });
        let mut operations = vec![DocumentChangeOperation::Op(rename)];
        operations.extend(self.change(&present, &to, None, file)?);
        Ok(operations)
    }

    /// The edits of a file that is there, for the document that it then is.
    fn change(
        &self,
        present: &Present,
        uri: &Url,
        version: Option<i32>,
        file: &FileChange,
    ) -> Result<Vec<DocumentChangeOperation>, String> {
        let text = &present.text;
        let wanted = apply(&file.hunks, text).map_err(|misfit| misfit.to_string())?;
        let ends_open = !wanted.is_empty() && !wanted.ends_with('\n');
        let diff = diff_texts(&wanted, text, DIFF_TIME);
        let hunks = diff.hunks.iter();
        let edits: Vec<TextEdit> = hunks
            .flat_map(|hunk| edits(text, hunk, ends_open, self.encoding))
            .collect();
        let operation = (!edits.is_empty()).then(|| text_edits(uri.clone(), version, edits));
        Ok(operation.into_iter().collect())
    }

    /// The file as it is for the editor; `None` if it is not there.
    fn present(&self, place: &Path) -> Result<Option<Present>, String> {
        if let Some(open) = self.open.get(place) {
            return Ok(Some(Present {
                uri: open.uri.clone(),
                version: Some(open.version),
                text: open.text.clone(),
            }));
        }
        let text = on_disk(place)?;
        let present = text.map(|text| {
            uri(place).map(|uri| Present {
                uri,
                version: None,
                text,
            })
        });
        present.transpose()
    }

    /// The same of a file that is about to go.
    fn saved(&self, place: &Path) -> Result<Present, String> {
        let present = self.present(place)?.ok_or("it is not there")?;
        let on_disk = on_disk(place)?.unwrap_or_default();
        if on_disk.trim_start_matches(BOM) != present.text.trim_start_matches(BOM) {
            return Err("it has unsaved edits: save it first".into());
        }
        Ok(present)
    }

    /// Where a path of the candidate is in the work tree.
    fn place(&self, path: &str) -> Result<PathBuf, String> {
        let mut place = self.root.to_owned();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) if !name.eq_ignore_ascii_case(".git") => place.push(name),
                _ => return Err("it is no file of the work tree".into()),
            }
            let is_link = |found: std::fs::Metadata| found.file_type().is_symlink();
            if std::fs::symlink_metadata(&place).is_ok_and(is_link) {
                return Err("it is behind a symbolic link".into());
            }
        }
        if place == self.root {
            return Err("it is no file of the work tree".into());
        }
        Ok(place)
    }
}

/// The text of a file; `None` if it is not there.
fn on_disk(place: &Path) -> Result<Option<String>, String> {
    match std::fs::read(place) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err("it is not UTF-8 text".into()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}

fn uri(place: &Path) -> Result<Url, String> {
    Url::from_file_path(place).map_err(|()| "its path has no URI".into())
}

fn text_edits(uri: Url, version: Option<i32>, edits: Vec<TextEdit>) -> DocumentChangeOperation {
    DocumentChangeOperation::Edit(TextDocumentEdit {
        text_document: OptionalVersionedTextDocumentIdentifier { uri, version },
        edits: edits.into_iter().map(OneOf::Left).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Patch;

    fn seen(diff: &str) -> Seen {
        Seen {
            source: super::super::Source::Branch { name: "b".into() },
            id: "b".into(),
            base: None,
            patch: Patch::from_typed_unified(diff.as_bytes()).unwrap(),
            left_out: vec![],
        }
    }

    fn refused(root: &Path, diff: &str) -> String {
        edit(&seen(diff), root, &HashMap::new(), Encoding::Utf16).unwrap_err()
    }

    fn added(path: &str) -> String {
        format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n")
    }

    #[test]
    fn only_files_of_the_work_tree_are_touched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in [
            "../out",
            "/etc/x",
            ".git/hooks/pre-commit",
            "a/.GIT/config",
            "a/../../x",
        ] {
            let reason = refused(root, &added(path));
            assert!(
                reason.ends_with("it is no file of the work tree"),
                "{reason}"
            );
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/", root.join("link")).unwrap();
            let reason = refused(root, &added("link/x"));
            assert_eq!(
                reason,
                "b cannot be applied: link/x: it is behind a symbolic link"
            );
        }
        let (edit, files) =
            edit(&seen(&added("a/x")), root, &HashMap::new(), Encoding::Utf16).unwrap();
        assert_eq!(files, 1);
        let Some(DocumentChanges::Operations(operations)) = edit.document_changes else {
            panic!("no operations");
        };
        assert_eq!(operations.len(), 2);
    }

    #[test]
    fn all_reasons_are_told_and_nothing_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join("there"), "x\n").unwrap();
        let gone = "--- a/gone\n+++ b/gone\n@@ -1 +1 @@\n-a\n+b\n";
        let misfit = "--- a/there\n+++ b/there\n@@ -1 +1 @@\n-a\n+b\n";
        let reason = refused(root, &[&added("there"), gone, misfit].concat());
        assert_eq!(
            reason,
            "b cannot be applied: there: it is there already; gone: it is not there; there: hunk 1 \
             does not fit: the lines around line 1 of its base are not there"
        );
    }
}
