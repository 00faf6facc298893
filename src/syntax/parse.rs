//! Parsing within a time limit, and where a text does not parse.

use super::grammar::Grammar;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tree_sitter::{Node, ParseOptions, Parser, Tree};

/// Characters of the text that a message quotes.
const QUOTED: usize = 40;

/// Where a text does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// 1-based.
    pub(super) line: u32,
    /// Whether it is not one that the grammar is known for.
    pub(super) is_certain: bool,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Incomplete,
    Missing(String),
    Unexpected(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the file parsed before this change and no longer does: ")?;
        match &self.what {
            What::Incomplete => out.write_str("something is missing here"),
            What::Missing(token) => write!(out, "`{token}` is missing"),
            What::Unexpected(text) => write!(out, "cannot make sense of `{text}`"),
        }
    }
}

/// The tree of a text; `None` if there was too little time.
pub(super) fn parse(grammar: Grammar, text: &str, limit: Duration) -> Option<Tree> {
    let mut parser = Parser::new();
    if let Err(error) = parser.set_language(&grammar.language()) {
        tracing::error!(%error, ?grammar, "a grammar cannot be used");
        return None;
    }
    let deadline = Instant::now() + limit;
    let mut in_time = |_: &tree_sitter::ParseState| {
        if Instant::now() < deadline {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut in_time);
    let bytes = text.as_bytes();
    parser.parse_with_options(
        &mut |start, _| bytes.get(start..).unwrap_or_default(),
        None,
        Some(options),
    )
}

/// The first place where a text does not parse, as deep in the tree as it can be told.
pub(super) fn first_fault(grammar: Grammar, root: Node<'_>, text: &str) -> Option<Fault> {
    let mut node = root.has_error().then_some(root)?;
    loop {
        let mut cursor = node.walk();
        let worse = |child: &Node<'_>| child.has_error() || child.is_missing();
        match node.children(&mut cursor).find(worse) {
            // What is within an error is only more of it.
            Some(child) if !node.is_error() => node = child,
            _ => break,
        }
    }
    let what = if node.is_missing() && node.is_named() {
        What::Incomplete
    } else if node.is_missing() {
        What::Missing(node.kind().to_owned())
    } else {
        let rest = text.get(node.start_byte()..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default().trim_end();
        What::Unexpected(line.chars().take(QUOTED).collect())
    };
    let row = node.start_position().row;
    let line = text.split('\n').nth(row).unwrap_or_default();
    Some(Fault {
        line: line_of(node),
        is_certain: !gaps(grammar).iter().any(|gap| line.contains(gap)),
        what,
    })
}

/// What is right and the grammar does not know, on the line where it stumbles: found by parsing the
/// sources of some 400 crates and 350 npm packages (`examples/static_checks.rs`).
fn gaps(grammar: Grammar) -> &'static [&'static str] {
    match grammar {
        // A macro called like a type, attributes within patterns and expressions, macros by example,
        // newer and older keywords.
        Grammar::Rust => &["str![", "#[", "$", "safe fn", "~const", "try!("],
        // Declarations that are merged with others', and some forms of newer versions.
        Grammar::TypeScript | Grammar::Tsx => &["global {", "type *", "keyof readonly"],
        _ => &[],
    }
}

/// 1-based.
pub(super) fn line_of(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().row).map_or(u32::MAX, |row| row.saturating_add(1))
}

/// The text of a node.
pub(super) fn text_of<'t>(node: Node<'_>, text: &'t str) -> &'t str {
    text.get(node.byte_range()).unwrap_or_default()
}

/// Whether the byte is inside of a string, a comment, or text between code.
pub(super) fn is_literal_at(root: Node<'_>, byte: usize) -> bool {
    let mut node = root.descendant_for_byte_range(byte, byte);
    while let Some(here) = node {
        let kind = here.kind();
        let literal = [
            "string", "comment", "heredoc", "nowdoc", "template", "jsx_text",
        ];
        if literal.iter().any(|part| kind.contains(part)) || kind == "text" {
            return true;
        }
        node = here.parent();
    }
    false
}

/// The named children of a node.
pub(super) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}
