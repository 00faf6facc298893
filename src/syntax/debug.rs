//! Statements that stop in a debugger or print for one, and are hardly meant to stay.
//!
//! Plain prints are not among them: a program may well print.

use super::grammar::Grammar;
use super::parse::{line_of, text_of};
use super::{Code, Flaw};
use tree_sitter::Node;

/// Such a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// 1-based.
    pub(super) line: u32,
    what: &'static str,
}

impl Statement {
    pub(super) fn flaw(&self) -> Flaw {
        let what = self.what;
        Flaw::new(
            Code::DebugStatement,
            self.line,
            format!("`{what}` was left in"),
        )
    }
}

/// All in a tree, from top to bottom.
pub(super) fn statements(grammar: Grammar, root: Node<'_>, text: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    // What is not in the text as such need not be looked for in the tree.
    if !needles(grammar).iter().any(|needle| text.contains(needle)) {
        return found;
    }
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if let Some(what) = is_debug(grammar, node, text) {
            let line = line_of(node);
            found.push(Statement { line, what });
        }
        if cursor.goto_first_child() || cursor.goto_next_sibling() {
            continue;
        }
        loop {
            if !cursor.goto_parent() {
                return found;
            }
            if cursor.goto_next_sibling() {
                break;
            }
        }
    }
}

fn needles(grammar: Grammar) -> &'static [&'static str] {
    match grammar {
        Grammar::Python => &["breakpoint", "set_trace"],
        Grammar::JavaScript | Grammar::TypeScript | Grammar::Tsx => &["debugger"],
        Grammar::Rust => &["dbg!"],
        Grammar::Ruby => &["binding.pry", "binding.irb"],
        Grammar::Php => &["var_dump"],
        Grammar::CSharp | Grammar::Go | Grammar::Java | Grammar::Kotlin => &[],
    }
}

fn is_debug(grammar: Grammar, node: Node<'_>, text: &str) -> Option<&'static str> {
    let field = |name| node.child_by_field_name(name).map(|it| text_of(it, text));
    match (grammar, node.kind()) {
        (Grammar::Python, "call") => match field("function")? {
            "breakpoint" => Some("breakpoint()"),
            "pdb.set_trace" => Some("pdb.set_trace()"),
            "ipdb.set_trace" => Some("ipdb.set_trace()"),
            _ => None,
        },
        (_, "debugger_statement") => Some("debugger"),
        (Grammar::Rust, "macro_invocation") => {
            matches!(field("macro")?, "dbg" | "std::dbg").then_some("dbg!")
        }
        (Grammar::Ruby, "call") => match (field("receiver")?, field("method")?) {
            ("binding", "pry") => Some("binding.pry"),
            ("binding", "irb") => Some("binding.irb"),
            _ => None,
        },
        (Grammar::Php, "function_call_expression") => {
            (field("function")? == "var_dump").then_some("var_dump()")
        }
        _ => None,
    }
}
