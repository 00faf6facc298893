//! Words and signs of code that the change metrics count.
//!
//! Invariant: the groups and their order are those of the trainer; a word is in at most one group.

/// Keywords of control flow.
pub(super) const CONTROL: [&str; 7] = ["if", "for", "while", "return", "else", "match", "switch"];
/// Keywords of handling errors.
pub(super) const TRY: [&str; 4] = ["try", "except", "catch", "finally"];
/// Words of a task description that speak of a fault.
pub(super) const FAULTS: [&str; 10] = [
    "Error",
    "error",
    "Exception",
    "exception",
    "Traceback",
    "panicked",
    "panic",
    "fails",
    "crash",
    "bug",
];

/// How many groups there are.
pub(super) const GROUPS: usize = 22;

/// The group of a token, if it is in one.
#[must_use]
pub(super) fn group(token: &str) -> Option<usize> {
    let group = match token {
        // Failing.
        "abort" | "assert" | "bail" | "expect" | "panic" | "raise" | "throw" | "throws"
        | "unwrap" => 0,
        // Null.
        "NULL" | "None" | "Option" | "Optional" | "Some" | "nil" | "null" | "nullptr"
        | "undefined" => 1,
        // Imports.
        "from" | "import" | "include" | "require" | "use" | "using" => 2,
        // Definitions.
        "class" | "def" | "enum" | "fn" | "func" | "function" | "impl" | "interface" | "struct"
        | "trait" => 3,
        // Logic.
        "!" | "&" | "and" | "not" | "or" | "|" => 4,
        // Checks.
        "contains" | "get" | "getattr" | "hasattr" | "in" | "instanceof" | "is_empty"
        | "is_none" | "is_some" | "isinstance" | "len" | "typeof" => 5,
        // Selves.
        "Self" | "self" | "super" | "this" => 6,
        // Returns.
        "return" | "yield" => 7,
        // Ifs.
        "case" | "elif" | "else" | "if" | "match" | "switch" => 8,
        // Loops.
        "break" | "continue" | "for" | "loop" | "while" => 9,
        // Booleans.
        "False" | "True" | "false" | "true" => 10,
        // Waits.
        "Mutex" | "async" | "await" | "lock" | "spawn" | "thread" => 11,
        // Copies.
        "as" | "clone" | "copy" | "deepcopy" | "into" | "to_owned" | "to_string" => 12,
        // Calls.
        "(" => 13,
        // Indices.
        "[" => 14,
        // Assignments.
        "=" => 15,
        // Orders.
        "<" | ">" => 16,
        // Arithmetic.
        "%" | "*" | "+" | "-" | "/" => 17,
        // Quotes.
        "\"" | "'" | "`" => 18,
        // Dots.
        "." => 19,
        // Colons.
        ":" => 20,
        // Passes.
        "NotImplementedError" | "pass" | "todo" | "unimplemented" => 21,
        _ => return None,
    };
    Some(group)
}

/// Whether a token is a keyword or common type of one of the languages: names that say the same
/// everywhere.
#[must_use]
pub(super) fn is_keyword(token: &str) -> bool {
    KEYWORDS.binary_search(&token).is_ok()
}

/// In the order of their bytes.
const KEYWORDS: [&str; 116] = [
    "Err",
    "False",
    "None",
    "Ok",
    "Self",
    "Some",
    "String",
    "True",
    "Vec",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "def",
    "default",
    "defer",
    "del",
    "do",
    "double",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extends",
    "false",
    "final",
    "finally",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "go",
    "goto",
    "i16",
    "i32",
    "i64",
    "i8",
    "if",
    "impl",
    "import",
    "in",
    "int",
    "interface",
    "is",
    "isize",
    "lambda",
    "len",
    "let",
    "long",
    "loop",
    "match",
    "mod",
    "module",
    "mut",
    "namespace",
    "new",
    "nil",
    "none",
    "not",
    "null",
    "or",
    "package",
    "pass",
    "private",
    "protected",
    "pub",
    "public",
    "raise",
    "ref",
    "return",
    "self",
    "short",
    "static",
    "str",
    "string",
    "struct",
    "super",
    "switch",
    "this",
    "throw",
    "throws",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "u16",
    "u32",
    "u64",
    "u8",
    "undefined",
    "unsafe",
    "unsigned",
    "use",
    "using",
    "usize",
    "val",
    "var",
    "void",
    "when",
    "where",
    "while",
    "with",
    "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_can_be_searched() {
        assert!(KEYWORDS.is_sorted());
        assert!(is_keyword("return") && is_keyword("None") && !is_keyword("name"));
    }
}
