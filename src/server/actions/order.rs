//! The commands of code actions: to the client as a name with arguments, and back.

use super::super::event::{File, Reply};
use crate::review::{HunkId, Label};
use serde_json::Value;
use std::path::PathBuf;
use tower_lsp::lsp_types::{Command, Url};

const RESCORE: &str = "diffidence.rescore";
const IGNORE: &str = "diffidence.ignoreHunk";
const STOP_IGNORING: &str = "diffidence.stopIgnoringHunk";
const MARK: &str = "diffidence.mark";
const SHOW_DIFF: &str = "diffidence.showDiff";

/// All names.
pub(in crate::server) const COMMANDS: [&str; 5] = [RESCORE, IGNORE, STOP_IGNORING, MARK, SHOW_DIFF];

/// Something to do about a document.
#[derive(Debug, Clone)]
pub(in crate::server) struct Order {
    pub(in crate::server) file: File,
    pub(in crate::server) what: What,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum What {
    /// Compute the score again, whatever is remembered.
    Rescore,
    Ignore(HunkId),
    StopIgnoring(HunkId),
    Mark {
        label: Label,
        /// All changes of the file if none.
        hunk: Option<HunkId>,
    },
    ShowDiff,
}

/// What the user said is on disk, or could not be put there.
pub(in crate::server) struct Done {
    pub(in crate::server) path: PathBuf,
    /// What to tell the user if it went well and nothing else shows it.
    pub(in crate::server) notice: Option<String>,
    pub(in crate::server) result: Result<(), String>,
    pub(in crate::server) reply: Reply<Result<Value, String>>,
}

impl Order {
    /// Reads a command of the client.
    pub(in crate::server) fn parse(command: &str, arguments: &[Value]) -> Result<Self, String> {
        if !COMMANDS.contains(&command) {
            return Err(format!("unknown command `{command}`"));
        }
        let text = |index: usize| arguments.get(index).and_then(Value::as_str);
        let file = text(0)
            .and_then(|uri| Url::parse(uri).ok())
            .and_then(File::at)
            .ok_or_else(|| format!("`{command}` takes the URI of a file"))?;
        let hunk = |index| text(index).map(HunkId::named);
        let this_hunk = || {
            hunk(1).ok_or_else(|| format!("`{command}` takes the URI of a file and a hunk's id"))
        };
        let what = match command {
            RESCORE => What::Rescore,
            IGNORE => What::Ignore(this_hunk()?),
            STOP_IGNORING => What::StopIgnoring(this_hunk()?),
            MARK => What::Mark {
                label: match text(1) {
                    Some("correct") => Label::Correct,
                    Some("wrong") => Label::Wrong,
                    _ => {
                        return Err(format!(
                            "`{command}` takes the URI of a file, `correct` or `wrong`, and for \
                             one hunk its id"
                        ));
                    }
                },
                hunk: hunk(2),
            },
            _ => What::ShowDiff,
        };
        Ok(Self { file, what })
    }
}

impl What {
    /// The command that means this for the document at `uri`.
    pub(super) fn command(&self, title: &str, uri: &Url) -> Command {
        let label;
        let (name, more): (_, Vec<&str>) = match self {
            Self::Rescore => (RESCORE, vec![]),
            Self::Ignore(hunk) => (IGNORE, vec![hunk.as_str()]),
            Self::StopIgnoring(hunk) => (STOP_IGNORING, vec![hunk.as_str()]),
            Self::Mark { label: word, hunk } => {
                label = word.to_string();
                let hunk = hunk.as_ref().map(HunkId::as_str);
                (
                    MARK,
                    [Some(label.as_str()), hunk].into_iter().flatten().collect(),
                )
            }
            Self::ShowDiff => (SHOW_DIFF, vec![]),
        };
        let arguments = std::iter::once(uri.as_str()).chain(more);
        Command {
            title: title.into(),
            command: name.into(),
            arguments: Some(arguments.map(Value::from).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_comes_back_as_what_it_was_made_from() {
        let uri = Url::parse("file:///a%20b.rs").unwrap();
        let hunk = HunkId::named("12ab");
        for what in [
            What::Rescore,
            What::Ignore(hunk.clone()),
            What::StopIgnoring(hunk.clone()),
            What::Mark {
                label: Label::Wrong,
                hunk: Some(hunk),
            },
            What::Mark {
                label: Label::Correct,
                hunk: None,
            },
            What::ShowDiff,
        ] {
            let command = what.command("t", &uri);
            let order = Order::parse(&command.command, &command.arguments.unwrap()).unwrap();
            assert_eq!(order.what, what);
            assert_eq!(order.file.uri, uri);
        }
    }

    #[test]
    fn what_is_wrong_with_a_command_is_said() {
        let check = |command: &str, arguments: Value, expected: &str| {
            let error = Order::parse(command, arguments.as_array().unwrap()).unwrap_err();
            assert_eq!(error, expected);
        };
        check("diffidence.x", json!([]), "unknown command `diffidence.x`");
        check(
            RESCORE,
            json!(["untitled:1"]),
            "`diffidence.rescore` takes the URI of a file",
        );
        check(
            IGNORE,
            json!(["file:///a"]),
            "`diffidence.ignoreHunk` takes the URI of a file and a hunk's id",
        );
        check(
            MARK,
            json!(["file:///a", "fine"]),
            "`diffidence.mark` takes the URI of a file, `correct` or `wrong`, and for one hunk \
             its id",
        );
    }
}
