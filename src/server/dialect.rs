//! What clients write otherwise than lsp-types 0.94 reads it, put right before it is read.
//!
//! Invariant: a message that lsp-types reads as the protocol means it passes through unchanged.

use serde_json::Value;
use tower_lsp::jsonrpc::Request;

/// The protocol has `workspace.diagnostics` among the client's capabilities; lsp-types 0.94 looks
/// for `workspace.diagnostic` and finds nothing.
pub(super) fn as_read(request: Request) -> Request {
    if request.method() != "initialize" {
        return request;
    }
    let (method, id, params) = request.into_parts();
    let mut builder = Request::build(method);
    if let Some(mut params) = params {
        let workspace = params.pointer_mut("/capabilities/workspace");
        if let Some(workspace) = workspace.and_then(Value::as_object_mut)
            && let Some(diagnostics) = workspace.get("diagnostics").cloned()
        {
            workspace.entry("diagnostic").or_insert(diagnostics);
        }
        builder = builder.params(params);
    }
    match id {
        Some(id) => builder.id(id).finish(),
        None => builder.finish(),
    }
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
}
