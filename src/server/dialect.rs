//! What clients write otherwise than lsp-types 0.94 reads it, put right before it is read.
//!
//! Invariant: a message that lsp-types reads as the protocol means it passes through unchanged.

use serde_json::Value;
use tower_lsp::jsonrpc::Request;

/// The message as lsp-types and tower-lsp read it.
pub(super) fn as_read(request: Request) -> Request {
    let method = request.method();
    if !matches!(method, "initialize" | "shutdown" | "exit") {
        return request;
    }
    let (method, id, params) = request.into_parts();
    let params = match params {
        // Emacs writes that there are none, which tower-lsp takes for some that should not be there.
        Some(Value::Null) => None,
        Some(params) if method == "initialize" => Some(with_diagnostics(params)),
        params => params,
    };
    let mut builder = Request::build(method);
    if let Some(params) = params {
        builder = builder.params(params);
    }
    match id {
        Some(id) => builder.id(id).finish(),
        None => builder.finish(),
    }
}

/// The protocol has `workspace.diagnostics` among the client's capabilities; lsp-types 0.94 looks
/// for `workspace.diagnostic` and finds nothing.
fn with_diagnostics(mut params: Value) -> Value {
    let workspace = params.pointer_mut("/capabilities/workspace");
    if let Some(workspace) = workspace.and_then(Value::as_object_mut)
        && let Some(diagnostics) = workspace.get("diagnostics").cloned()
    {
        workspace.entry("diagnostic").or_insert(diagnostics);
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn diagnostics_are_found_under_both_names() {
        let check = |workspace: Value, expected: Value| {
            let params = json!({"capabilities": {"workspace": workspace}});
            let request = Request::build("initialize").params(params).id(1).finish();
            let (_, id, params) = as_read(request).into_parts();
            assert_eq!(id, Some(1.into()));
            let found = params.unwrap()["capabilities"]["workspace"]["diagnostic"].take();
            assert_eq!(found, expected);
        };
        let able = json!({"refreshSupport": true});
        check(json!({"diagnostics": able}), able.clone());
        check(json!({"diagnostic": able}), able.clone());
        check(json!({}), Value::Null);
    }

    #[test]
    fn null_for_no_parameters_is_none() {
        for method in ["shutdown", "exit"] {
            let request = Request::build(method).params(Value::Null).id(1).finish();
            let (_, id, params) = as_read(request).into_parts();
            assert_eq!((id, params), (Some(1.into()), None), "{method}");
        }
    }
}
