//! Reading labelled patches from JSON lines, plain or compressed with zstd.
//!
//! Invariant: one line in, at most one item out, in order, and a bad line never stops the lines
//! after it. Memory is bounded by one line. This file must not know what is done with a record.

use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read, in bytes without the line end.
pub const MAX_LINE: usize = 64 << 20;
/// First bytes of a zstd frame (RFC 8878).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A patch to score, with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Names the record in outputs.
    pub id: RecordId,
    /// A unified diff.
    pub patch: String,
    /// What the change is for.
    pub problem: Option<String>,
    /// The conversation that led to the patch.
    pub messages: Vec<Message>,
    /// The task that the patch is one candidate for.
    pub task: Option<String>,
    /// Who or what wrote the patch; never an input of the model.
    pub policy: Option<String>,
    /// Programming language.
    pub language: Option<String>,
    /// The data set that the record comes from.
    pub source: Option<String>,
    /// Whether the patch is correct, where that is known.
    pub label: Option<bool>,
    /// All other fields as they were.
    pub meta: Map<String, Value>,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Such as `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// A record's name: written back as the kind of value it was read as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum RecordId {
    /// A JSON string.
    Text(String),
    /// A JSON number.
    Number(serde_json::Number),
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Why a line is no record.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    /// 1-based, blank lines counted.
    pub line: u64,
    /// The record's name, where the line got as far as to state one.
    pub id: Option<RecordId>,
    /// What is wrong and, where it is not obvious, what is expected.
    pub problem: String,
}

/// Opens JSON lines; `-` is standard input. Compression is recognised by content.
///
/// # Errors
/// If the file cannot be opened or its first bytes cannot be read.
pub fn open(path: &Path) -> io::Result<JsonLines> {
    if path.as_os_str() == "-" {
        JsonLines::new(io::stdin())
    } else {
        JsonLines::new(File::open(path)?)
    }
}

/// Records from JSON lines.
pub fn records(
    lines: impl Iterator<Item = Result<JsonLine, LineError>>,
) -> impl Iterator<Item = Result<(u64, Record), LineError>> {
    lines.map(|line| {
        let JsonLine { line, object } = line?;
        Record::from_object(object)
            .map(|record| (line, record))
            .map_err(|(id, problem)| LineError { line, id, problem })
    })
}

/// Iterates over the JSON objects of a stream, one on each line. Blank lines are passed over.
pub struct JsonLines {
    reader: Box<dyn BufRead + Send>,
    line: u64,
    limit: usize,
    finished: bool,
}

/// One line of JSON lines.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonLine {
    /// 1-based.
    pub line: u64,
    /// The object on it.
    pub object: Map<String, Value>,
}

impl JsonLines {
    /// Reads from a stream, plain or compressed with zstd.
    ///
    /// # Errors
    /// If the first bytes cannot be read.
    pub fn new(stream: impl Read + Send + 'static) -> io::Result<Self> {
        let mut stream = stream;
        // Short reads are allowed, so filling a buffer once is not enough to see the magic.
        let mut start = Vec::with_capacity(ZSTD_MAGIC.len());
        stream
            .by_ref()
            .take(ZSTD_MAGIC.len() as u64)
            .read_to_end(&mut start)?;
        let compressed = start == ZSTD_MAGIC;
        let whole = io::Cursor::new(start).chain(stream);
        let reader: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::new(zstd::Decoder::new(whole)?))
        } else {
            Box::new(BufReader::new(whole))
        };
        Ok(Self {
            reader,
            line: 0,
            limit: MAX_LINE,
            finished: false,
        })
    }

    fn parse(&self, bytes: &[u8]) -> Result<JsonLine, LineError> {
        match serde_json::from_slice(bytes) {
            Ok(object) => Ok(JsonLine {
                line: self.line,
                object,
            }),
            Err(error) => Err(self.error(format!("not a JSON object: {}", reason(&error)))),
        }
    }

    fn error(&self, problem: String) -> LineError {
        LineError {
            line: self.line,
            id: None,
            problem,
        }
    }
}

impl Iterator for JsonLines {
    type Item = Result<JsonLine, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.finished {
            self.line += 1;
            match read_line(&mut self.reader, self.limit) {
                Ok(Line::End) => self.finished = true,
                Ok(Line::TooLong) => {
                    let limit = self.limit >> 20;
                    return Some(Err(self.error(format!("longer than {limit} MiB"))));
                }
                Ok(Line::Bytes(bytes)) => {
                    let bytes = match bytes.strip_prefix(BYTE_ORDER_MARK) {
                        Some(rest) if self.line == 1 => rest,
                        _ => &bytes,
                    };
                    if !bytes.trim_ascii().is_empty() {
                        return Some(self.parse(bytes));
                    }
                }
                // Nothing can be read after a broken frame or a failing disk.
                Err(error) => {
                    self.finished = true;
                    return Some(Err(self.error(format!("cannot read on from here: {error}"))));
                }
            }
        }
        None
    }
}

enum Line {
    Bytes(Vec<u8>),
    TooLong,
    End,
}

/// Reads to the next line end or the end of the stream, keeping at most `limit` bytes.
fn read_line(reader: &mut dyn BufRead, limit: usize) -> io::Result<Line> {
    let mut bytes = Vec::new();
    let (mut any, mut too_long) = (false, false);
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            break;
        }
        any = true;
        let mut rest = available;
        rest.skip_until(b'\n')?;
        let taken = available.len() - rest.len();
        let ended = available[taken - 1] == b'\n';
        let piece = &available[..taken - usize::from(ended)];
        if bytes.len() + piece.len() > limit {
            too_long = true;
            bytes = Vec::new();
        }
        if !too_long {
            bytes.extend_from_slice(piece);
        }
        reader.consume(taken);
        if ended {
            break;
        }
    }
    Ok(match (any, too_long) {
        (false, _) => Line::End,
        (true, true) => Line::TooLong,
        (true, false) => Line::Bytes(bytes),
    })
}

/// The message without its "at line 1": the line that counts is that of the stream.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let known = format!(" at line {} column {}", error.line(), error.column());
    match message.strip_suffix(&known) {
        Some(text) if error.column() > 0 => format!("{text} (column {})", error.column()),
        Some(text) => text.to_owned(),
        None => message,
    }
}

impl Record {
    pub(super) fn from_object(
        mut object: Map<String, Value>,
    ) -> Result<Self, (Option<RecordId>, String)> {
        let id = take_id(&mut object).map_err(|problem| (None, problem))?;
        Self::with_id(id.clone(), object).map_err(|problem| (Some(id), problem))
    }

    fn with_id(id: RecordId, mut object: Map<String, Value>) -> Result<Self, String> {
        let patch = take_text(&mut object, "patch")?
            .ok_or("field `patch` is missing; it must hold a unified diff")?;
        Ok(Self {
            id,
            patch,
            problem: take_text(&mut object, "problem")?,
            messages: take_messages(&mut object)?,
            task: take_text(&mut object, "task")?,
            policy: take_text(&mut object, "policy")?,
            language: take_text(&mut object, "language")?,
            source: take_text(&mut object, "source")?,
            label: take_label(&mut object)?,
            meta: object,
        })
    }
}

/// Takes `id` out of an object.
///
/// # Errors
/// A sentence if there is none or it is neither a string nor a number.
pub fn take_id(object: &mut Map<String, Value>) -> Result<RecordId, String> {
    match object.shift_remove("id") {
        Some(Value::String(text)) => Ok(RecordId::Text(text)),
        Some(Value::Number(number)) => Ok(RecordId::Number(number)),
        Some(other) => Err(format!(
            "field `id` must be a string or a number, not {}",
            kind(&other)
        )),
        None => Err("field `id` is missing".to_owned()),
    }
}

/// `null` counts as absent, which is how many tools write it.
fn take_text(object: &mut Map<String, Value>, field: &str) -> Result<Option<String>, String> {
    match object.shift_remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!(
            "field `{field}` must be a string, not {}",
            kind(&other)
        )),
    }
}

fn take_label(object: &mut Map<String, Value>) -> Result<Option<bool>, String> {
    match object.shift_remove("label") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(0) => Ok(Some(false)),
            Some(1) => Ok(Some(true)),
            _ => Err("field `label` must be 1 (correct) or 0 (incorrect)".to_owned()),
        },
    }
}

fn take_messages(object: &mut Map<String, Value>) -> Result<Vec<Message>, String> {
    let turns = match object.shift_remove("messages") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(turns)) => turns,
        Some(other) => {
            return Err(format!(
                "field `messages` must be an array, not {}",
                kind(&other)
            ));
        }
    };
    let message = |(index, turn): (usize, Value)| {
        let role = turn.get("role").and_then(Value::as_str).map(str::to_owned);
        match (role, told(&turn)) {
            (Some(role), Some(content)) => Ok(Message { role, content }),
            _ => Err(format!(
                "`messages[{index}]` must be an object with the string `role`, and with `content` as \
                 a string, an array of parts, or null"
            )),
        }
    };
    turns.into_iter().enumerate().map(message).collect()
}

/// What a turn says and which tools it calls, as OpenAI's chat completions have it: `content` is a
/// string, parts or nothing. `None` if it is something else.
fn told(turn: &Value) -> Option<String> {
    let mut said: Vec<String> = match turn.get("content") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(parts)) => parts.iter().map(part).collect::<Option<_>>()?,
        // Nothing to say is said by being there or by calling something.
        Some(Value::Null) => Vec::new(),
        None if turn.get("tool_calls").is_some() => Vec::new(),
        _ => return None,
    };
    let calls = turn.get("tool_calls").and_then(Value::as_array);
    said.extend(calls.into_iter().flatten().filter_map(|call| {
        let text = |field: &str| call.get("function")?.get(field)?.as_str();
        Some(format!("{}({})", text("name")?, text("arguments")?))
    }));
    Some(said.join("\n"))
}

/// A part of a message: its text, or the name of what is none.
fn part(part: &Value) -> Option<String> {
    match (part, part.get("text"), part.get("type")) {
        (Value::String(text), ..) | (_, Some(Value::String(text)), _) => Some(text.clone()),
        (_, None, Some(Value::String(name))) => Some(format!("[{name}]")),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<(u64, Record), LineError>> {
        let lines = JsonLines::new(io::Cursor::new(bytes.to_vec())).unwrap();
        records(lines).collect()
    }

    fn read_one(line: &str) -> Result<Record, String> {
        let mut all = read(line.as_bytes());
        assert_eq!(all.len(), 1, "{line}");
        all.remove(0)
            .map(|(_, record)| record)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn keeps_known_fields_apart_from_the_rest() {
        let record = read_one(
            r#"{"id":7,"patch":"p","task":null,"zeta":1,"label":1,"alpha":[2],"messages":[{"role":"user","content":"fix"}]}"#,
        )
        .unwrap();
        assert_eq!(record.id.to_string(), "7");
        assert_eq!(serde_json::to_string(&record.id).unwrap(), "7");
        assert_eq!((record.task, record.label), (None, Some(true)));
        assert_eq!(record.messages[0].content, "fix");
        let rest = serde_json::to_string(&record.meta).unwrap();
        assert_eq!(rest, r#"{"zeta":1,"alpha":[2]}"#);
    }

    #[test]
    fn says_what_is_wrong_with_a_line() {
        let check = |line: &str, expect: &str| {
            assert_eq!(read_one(line).unwrap_err(), expect, "{line}");
        };
        check(
            "{",
            "line 1: not a JSON object: EOF while parsing an object (column 1)",
        );
        check(
            "[]",
            "line 1: not a JSON object: invalid type: sequence, expected a map",
        );
        check(r#"{"patch":"p"}"#, "line 1: field `id` is missing");
        check(
            r#"{"id":null,"patch":"p"}"#,
            "line 1: field `id` must be a string or a number, not null",
        );
        check(
            r#"{"id":"a"}"#,
            "line 1: field `patch` is missing; it must hold a unified diff",
        );
        check(
            r#"{"id":"a","patch":"p","label":2}"#,
            "line 1: field `label` must be 1 (correct) or 0 (incorrect)",
        );
        check(
            r#"{"id":"a","patch":"p","task":3}"#,
            "line 1: field `task` must be a string, not a number",
        );
        check(
            r#"{"id":"a","patch":"p","messages":[{"role":"user"}]}"#,
            "line 1: `messages[0]` must be an object with the string `role`, and with `content` as \
             a string, an array of parts, or null",
        );
    }

    #[test]
    fn turns_are_told_as_chat_completions_have_them() {
        let check = |turn: &str, expect: Option<&str>| {
            let turn: Value = serde_json::from_str(turn).unwrap();
            assert_eq!(told(&turn).as_deref(), expect, "{turn}");
        };
        check(r#"{"content":"fix"}"#, Some("fix"));
        check(
            r#"{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}},"b"]}"#,
            Some("a\n[image_url]\nb"),
        );
        check(
            r#"{"content":null,"tool_calls":[{"type":"function","function":{"name":"run","arguments":"{\"c\":\"ls\"}"}}]}"#,
            Some(r#"run({"c":"ls"})"#),
        );
        check(r#"{"content":null}"#, Some(""));
        check(r#"{"tool_calls":[]}"#, Some(""));
        check("{}", None);
        check(r#"{"content":5}"#, None);
        check(r#"{"content":[5]}"#, None);
    }

    #[test]
    fn goes_on_after_a_bad_line_and_counts_blank_ones() {
        let got =
            read(b"\xef\xbb\xbf{\"id\":1,\"patch\":\"\"}\r\n\n\xff\xfe\n{\"id\":2,\"patch\":\"\"}");
        assert_eq!(got.len(), 3);
        assert_eq!(got[0].as_ref().unwrap().0, 1);
        assert_eq!(got[1].as_ref().unwrap_err().line, 3);
        assert_eq!(got[2].as_ref().unwrap().0, 4);
    }

    #[test]
    fn a_bad_record_still_tells_its_name() {
        let error = read(br#"{"id":"x","patch":5}"#).remove(0).unwrap_err();
        assert_eq!(error.id, Some(RecordId::Text("x".to_owned())));
    }

    #[test]
    fn reads_zstd_by_its_content_even_when_frames_follow_each_other() {
        let mut bytes = zstd::encode_all(&b"{\"id\":1,\"patch\":\"\"}\n"[..], 1).unwrap();
        bytes.extend(zstd::encode_all(&b"{\"id\":2,\"patch\":\"\"}\n"[..], 1).unwrap());
        let got = read(&bytes);
        assert_eq!(got.len(), 2);
        assert!(got.iter().all(Result::is_ok));
    }

    #[test]
    fn a_cut_off_frame_is_an_error_at_its_line_and_the_end() {
        let text = "{\"id\":1,\"patch\":\"\"}\n".repeat(1000);
        let bytes = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let got = read(&bytes[..bytes.len() - 3]);
        let last = got.last().unwrap().as_ref().unwrap_err().to_string();
        assert!(last.contains("cannot read on from here"), "{last}");
        assert_eq!(got.iter().filter(|item| item.is_err()).count(), 1);
    }

    #[test]
    fn a_line_over_the_limit_is_left_out_without_keeping_it() {
        let mut lines = JsonLines::new(io::Cursor::new(
            b"{\"a\":\"0123456789012345678901234567890123456789\"}\n{}\n".to_vec(),
        ))
        .unwrap();
        lines.limit = 20;
        assert_eq!(
            lines.next().unwrap().unwrap_err().to_string(),
            "line 1: longer than 0 MiB"
        );
        assert_eq!(lines.next().unwrap().unwrap().line, 2);
        assert!(lines.next().is_none());
    }

    #[test]
    fn an_empty_stream_has_no_records() {
        assert!(read(b"").is_empty());
        assert!(read(b"\n\n").is_empty());
    }
}
