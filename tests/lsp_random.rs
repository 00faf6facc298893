//! Random interleavings of open, change, save and close: the server's text is the client's, and
//! what it publishes fits the version that it names.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use diffidence::change::LineKind;
use diffidence::change::diff::diff_texts;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use support::fake_model::logit;
use support::lsp::{Client, Setup, latest_diagnostics, uri};
use support::{Random, Repo};

/// Enough for 1,000 changes among them.
const MESSAGES: usize = 1_400;
const CHANGES: usize = 1_000;

/// A position in units of the encoding, counted one character at a time.
fn position(text: &str, offset: usize, encoding: &str) -> (u64, u64) {
    let (mut line, mut character) = (0, 0);
    let mut before = text[..offset].chars().peekable();
    while let Some(c) = before.next() {
        match c {
            '\r' if before.peek() == Some(&'\n') => {}
            '\r' | '\n' => (line, character) = (line + 1, 0),
            c if encoding == "utf-8" => character += c.len_utf8() as u64,
            _ if encoding == "utf-32" => character += 1,
            c => character += c.len_utf16() as u64,
        }
    }
    (line, character)
}

/// Start and end of 1-based lines as git counts them, without the last terminator.
fn line_range(text: &str, first: u32, last: u32, encoding: &str) -> [u64; 4] {
    let mut offset = 0;
    let mut starts = vec![];
    let mut ends = vec![];
    for line in text.split_inclusive('\n') {
        starts.push(offset);
        let body = line.strip_suffix('\n').unwrap_or(line);
        ends.push(offset + body.strip_suffix('\r').unwrap_or(body).len());
        offset += line.len();
    }
    let at = |places: &[usize], line: u32| places.get(line as usize - 1).copied().unwrap_or(0);
    let start = position(text, at(&starts, first), encoding);
    let end = position(text, at(&ends, last), encoding);
    [start.0, start.1, end.0, end.1]
}

/// What should be published for a text: the first run of changed lines of each low hunk.
fn expected(base: &str, text: &str, encoding: &str) -> Vec<[u64; 4]> {
    let diff = diff_texts(base, text, Duration::from_secs(10));
    let low = diff.hunks.iter().filter(|hunk| logit(hunk) < -0.62);
    low.map(|hunk| {
        let mut number = hunk.new.start + u32::from(hunk.new.lines == 0);
        let mut added = vec![];
        for line in &hunk.lines {
            if line.kind == LineKind::Added {
                added.push(number);
            }
            number += u32::from(line.kind != LineKind::Removed);
        }
        let (first, last) = match added.first() {
            None => hunk.changed_new_lines(diff.new_lines),
            Some(&first) => {
                let run = added.iter().zip(first..).take_while(|(a, b)| **a == *b);
                (first, run.map(|(a, _)| *a).last().unwrap())
            }
        };
        line_range(text, first, last, encoding)
    })
    .collect()
}

fn spans(diagnostics: &[Value]) -> Vec<[u64; 4]> {
    let number = |value: &Value| value.as_u64().unwrap();
    let span = |range: &Value| {
        [
            number(&range["start"]["line"]),
            number(&range["start"]["character"]),
            number(&range["end"]["line"]),
            number(&range["end"]["character"]),
        ]
    };
    diagnostics.iter().map(|d| span(&d["range"])).collect()
}

/// A file as the client has it.
struct Document {
    path: PathBuf,
    name: &'static str,
    base: String,
    on_disk: String,
    /// Text and version while it is open.
    open: Option<(String, i32)>,
    /// The text of each version; versions are never used twice.
    history: HashMap<i64, String>,
    last_version: i32,
}

struct Play {
    repo: Repo,
    client: Client,
    documents: Vec<Document>,
    random: Random,
    encoding: &'static str,
    /// How often `didChange` was sent.
    changes: usize,
}

const PIECES: [&str; 14] = [
    "bad",
    "poor",
    "fine",
    "x",
    " ",
    "é",
    "漢",
    "😀",
    "𝕏",
    "\n",
    "\r\n",
    "bad 😀\n",
    "line\r\n",
    "\r",
];

impl Play {
    async fn begin(seed: u64, encoding: &'static str, setup: Setup) -> Self {
        let repo = Repo::new();
        let unix: String = (1..=40).map(|n| format!("line {n} 😀\n")).collect();
        let dos: String = (1..=40).map(|n| format!("zeile {n} é\r\n")).collect();
        let files = [
            ("unix.rs", unix),
            ("with space/dós 😀.rs", dos),
            ("no end", "a\nb\nc".into()),
        ];
        for (name, text) in &files {
            repo.write(name, text);
        }
        repo.commit();
        let mut documents: Vec<Document> = files
            .into_iter()
            .map(|(name, base)| Document {
                path: repo.path(name),
                name,
                on_disk: base.clone(),
                base,
                open: None,
                history: HashMap::new(),
                last_version: 0,
            })
            .collect();
        repo.write("new.rs", "bad\n");
        documents.push(Document {
            path: repo.path("new.rs"),
            name: "new.rs",
            base: String::new(),
            on_disk: "bad\n".into(),
            open: None,
            history: HashMap::new(),
            last_version: 0,
        });
        let client = Client::with(Setup {
            encodings: json!([encoding]),
            ..setup
        })
        .await;
        assert_eq!(client.capabilities["positionEncoding"], encoding);
        Self {
            repo,
            client,
            documents,
            random: Random(seed),
            encoding,
            changes: 0,
        }
    }

    fn piece(&mut self) -> String {
        let count = self.random.below(4);
        (0..count).map(|_| *self.random.pick(&PIECES)).collect()
    }

    /// A place that a client can name: at a character, and not inside a CRLF.
    fn place(&mut self, text: &str) -> usize {
        let mut offset = self.random.below(text.len() + 1);
        while !text.is_char_boundary(offset)
            || (text[..offset].ends_with('\r') && text[offset..].starts_with('\n'))
        {
            offset -= 1;
        }
        offset
    }

    fn edit(&mut self, text: &mut String) -> Value {
        if self.random.one_in(12) {
            *text = format!("{}{text}", self.piece());
            return json!({"text": text});
        }
        let start = self.place(text);
        let mut end = self.place(text).clamp(start, text.len().min(start + 30));
        while !text.is_char_boundary(end)
            || (text[..end].ends_with('\r') && text[end..].starts_with('\n'))
        {
            end += 1;
        }
        let with = self.piece();
        let (from, to) = (
            position(text, start, self.encoding),
            position(text, end, self.encoding),
        );
        text.replace_range(start..end, &with);
        json!({
            "range": {
                "start": {"line": from.0, "character": from.1},
                "end": {"line": to.0, "character": to.1},
            },
            "text": with,
        })
    }

    /// Sends one message about one document.
    fn step(&mut self) {
        let index = self.random.below(self.documents.len());
        let open = self.documents[index].open.take();
        let next = match (open, self.random.below(10)) {
            (None, _) => {
                let mut text = self.documents[index].on_disk.clone();
                if self.random.one_in(3) {
                    self.edit(&mut text);
                }
                let version = self.documents[index].last_version + 1;
                self.client
                    .open_as(&self.documents[index].path, version, &text);
                Some((text, version))
            }
            (Some((text, version)), 0) => {
                self.repo.write(self.documents[index].name, &text);
                self.documents[index].on_disk.clone_from(&text);
                self.client.save(&self.documents[index].path);
                Some((text, version))
            }
            (Some(_), 1) => {
                self.client.close(&self.documents[index].path);
                None
            }
            (Some((mut text, version)), _) => {
                let edits: Vec<Value> = (0..=self.random.below(3))
                    .map(|_| self.edit(&mut text))
                    .collect();
                let version = version + 1 + i32::from(self.random.one_in(5));
                self.client
                    .edit(&self.documents[index].path, version, &edits);
                self.changes += 1;
                Some((text, version))
            }
        };
        let document = &mut self.documents[index];
        if let Some((text, version)) = &next {
            document.last_version = *version;
            document.history.insert(i64::from(*version), text.clone());
        }
        document.open = next;
    }

    /// The server has the same text and version for everything that is open, and nothing else.
    async fn compare_texts(&self) {
        for document in &self.documents {
            let text = self.client.text(&document.path).await;
            match &document.open {
                None => assert_eq!(text, Value::Null),
                Some((expected, version)) => {
                    assert_eq!(text["text"], *expected);
                    assert_eq!(text["version"], *version);
                }
            }
        }
    }

    /// Everything published so far names a version of the client's, in order, and stands on the
    /// changed lines of that version's text. Returns how many showed something.
    fn check_published(&self) -> usize {
        let mut shown = 0;
        for document in &self.documents {
            let uri = uri(&document.path);
            let published = self.client.inbox(|inbox| {
                let all = inbox.notifications.iter();
                let ours = all.filter(|(method, params)| {
                    method == "textDocument/publishDiagnostics" && params["uri"] == uri
                });
                ours.map(|(_, params)| params.clone()).collect::<Vec<_>>()
            });
            let mut last = 0;
            for params in published {
                let version = params["version"].as_i64().expect("a version");
                assert!(version >= last, "{version} after {last}");
                last = version;
                let text = document.history.get(&version).expect("a version we sent");
                let found = spans(params["diagnostics"].as_array().unwrap());
                if !found.is_empty() {
                    assert_eq!(found, expected(&document.base, text, self.encoding));
                    shown += 1;
                }
            }
        }
        shown
    }

    /// In the end the client has the diagnostics of the current text, under its version.
    async fn settle(&self) {
        for document in &self.documents {
            let uri = uri(&document.path);
            let (wanted, current) = match &document.open {
                None => (vec![], None),
                Some((text, version)) => (
                    expected(&document.base, text, self.encoding),
                    Some(i64::from(*version)),
                ),
            };
            let what = format!("{}: {current:?} {wanted:?}", document.name);
            self.client
                .until(&what, |inbox| {
                    let latest = latest_diagnostics(inbox, &uri);
                    let fits = match latest {
                        None => wanted.is_empty(),
                        Some((version, found)) => {
                            spans(&found) == wanted
                                && (wanted.is_empty() || Some(version) == current)
                        }
                    };
                    fits.then_some(())
                })
                .await;
        }
    }

    async fn run(mut self) -> Self {
        for _ in 0..MESSAGES {
            self.step();
            if self.random.one_in(25) {
                self.compare_texts().await;
            }
            if self.random.one_in(50) {
                self.settle().await;
            }
        }
        self.compare_texts().await;
        self.settle().await;
        assert!(self.changes >= CHANGES, "{} changes", self.changes);
        let shown = self.check_published();
        assert!(shown > MESSAGES / 40, "{shown} of {MESSAGES}: too few");
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_agree_and_diagnostics_fit_their_version() {
    for (seed, encoding) in [(1, "utf-8"), (2, "utf-16"), (3, "utf-32")] {
        let play = Play::begin(seed, encoding, Setup::default()).await;
        let play = play.run().await;
        play.client.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_answers_is_served_all_the_same() {
    let setup = Setup {
        answers: false,
        settings: Some(json!({})),
        ..Setup::default()
    };
    let play = Play::begin(9, "utf-16", setup).await.run().await;
    let asked = play.client.inbox(|inbox| inbox.requests.len());
    assert!(asked > 0, "nothing was asked of the client");
    play.client.goodbye().await;
}
