//! Form bodies and query strings with Stripe's bracket notation.
//!
//! Invariant: every pair is in the tree exactly once, at the path that its brackets specify, and
//! siblings keep the order in which they were sent. `a[b][0]=x` nests, `a[]=x` appends, and
//! `a[][b]=1&a[][c]=2&a[][b]=3` starts a new element where a key repeats.
//! Proved by `any_tree_survives_the_round_trip`.

use serde_json::Value;

use crate::error::ApiError;

/// One node of the parsed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A percent-decoded value.
    Text(String),
    /// Named or numbered children, in order of first appearance.
    Branch(Vec<(String, Node)>),
}

/// The maximum nesting of brackets, against malicious input.
const MAX_DEPTH: usize = 16;

/// Parses `application/x-www-form-urlencoded` text.
///
/// # Errors
/// Brackets are unbalanced or nested too deeply, or a name is used both as a value and as an object.
pub(crate) fn parse(raw: &[u8]) -> Result<Node, ApiError> {
    let mut root = Vec::new();
    for (name, value) in form_urlencoded::parse(raw) {
        let path = split(&name)?;
        insert(&mut root, &path, &value, &name)?;
    }
    Ok(Node::Branch(root))
}

/// Builds the same tree from JSON; `null` becomes an empty string.
pub(crate) fn from_json(value: &Value) -> Node {
    match value {
        Value::Object(map) => Node::Branch(map.iter().map(|(key, value)| (key.clone(), from_json(value))).collect()),
        Value::Array(elements) => {
            let numbered = elements.iter().enumerate();
            Node::Branch(numbered.map(|(index, element)| (index.to_string(), from_json(element))).collect())
        }
        Value::Null => Node::Text(String::new()),
        Value::String(text) => Node::Text(text.clone()),
        other => Node::Text(other.to_string()),
    }
}

/// `a[b][]` → `["a", "b", ""]`.
fn split(name: &str) -> Result<Vec<&str>, ApiError> {
    let malformed = || ApiError::invalid("", format!("Invalid parameter name: {name}"));
    let Some(open) = name.find('[') else {
        return Ok(vec![name]);
    };
    let (head, mut rest) = name.split_at(open);
    let mut path = vec![head];
    while let Some(inner) = rest.strip_prefix('[') {
        let close = inner.find(']').ok_or_else(malformed)?;
        path.push(&inner[..close]);
        rest = &inner[close + 1..];
    }
    if !rest.is_empty() || path.len() > MAX_DEPTH || head.is_empty() {
        return Err(malformed());
    }
    Ok(path)
}

fn insert(branch: &mut Vec<(String, Node)>, path: &[&str], value: &str, name: &str) -> Result<(), ApiError> {
    let clash =
        || ApiError::invalid("", format!("Invalid parameter: {name} is used both as a value and as a hash or list"));
    let (key, rest) = match path {
        [] => return Ok(()),
        [key, rest @ ..] => (*key, rest),
    };
    let key = if key.is_empty() { element_for(branch, rest) } else { key.to_owned() };
    let position = branch.iter().position(|(known, _)| *known == key);
    let Some(position) = position else {
        let mut node = Node::Text(value.to_owned());
        if !rest.is_empty() {
            let mut children = Vec::new();
            insert(&mut children, rest, value, name)?;
            node = Node::Branch(children);
        }
        branch.push((key, node));
        return Ok(());
    };
    match (&mut branch[position].1, rest) {
        (Node::Text(text), []) => {
            value.clone_into(text);
            Ok(())
        }
        (Node::Branch(children), [_, ..]) => insert(children, rest, value, name),
        _ => Err(clash()),
    }
}

/// Returns the index that `[]` stands for: the last element if it does not have the rest of the path
/// yet, otherwise a new one.
fn element_for(branch: &[(String, Node)], rest: &[&str]) -> String {
    match branch.last() {
        Some((last, node)) if !rest.is_empty() && !has(node, rest) => last.clone(),
        _ => branch.len().to_string(),
    }
}

fn has(node: &Node, path: &[&str]) -> bool {
    match (node, path) {
        (_, []) => true,
        (Node::Text(_), _) => false,
        (Node::Branch(_), ["", ..]) => false,
        (Node::Branch(children), [key, rest @ ..]) => {
            children.iter().find(|(known, _)| known == key).is_some_and(|(_, child)| has(child, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(pairs: &[(&str, &str)]) -> Node {
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        parse(text.as_bytes()).expect("a well-formed form")
    }

    fn text(value: &str) -> Node {
        Node::Text(value.to_owned())
    }

    fn branch(children: Vec<(&str, Node)>) -> Node {
        Node::Branch(children.into_iter().map(|(key, node)| (key.to_owned(), node)).collect())
    }

    #[test]
    fn brackets_nest() {
        assert_eq!(
            tree(&[("line_items[0][price]", "price_1"), ("line_items[0][quantity]", "2"), ("metadata[a b&c]", "d=é"),]),
            branch(vec![
                ("line_items", branch(vec![("0", branch(vec![("price", text("price_1")), ("quantity", text("2"))]))])),
                ("metadata", branch(vec![("a b&c", text("d=é"))])),
            ])
        );
    }

    #[test]
    fn empty_brackets_append() {
        assert_eq!(
            tree(&[("expand[]", "a"), ("expand[]", "b")]),
            branch(vec![("expand", branch(vec![("0", text("a")), ("1", text("b"))]))])
        );
    }

    #[test]
    fn a_repeated_key_starts_the_next_element() {
        assert_eq!(
            tree(&[("i[][p]", "1"), ("i[][q]", "2"), ("i[][p]", "3")]),
            branch(vec![(
                "i",
                branch(vec![
                    ("0", branch(vec![("p", text("1")), ("q", text("2"))])),
                    ("1", branch(vec![("p", text("3"))])),
                ])
            )])
        );
    }

    #[test]
    fn a_name_cannot_be_both_a_value_and_an_object() {
        assert!(parse(b"a=1&a[b]=2").is_err());
        assert!(parse(b"a[b]=2&a=1").is_err());
    }

    #[test]
    fn unbalanced_brackets_are_rejected() {
        for raw in ["a[b=1", "a[b]c=1", "[a]=1", "a]b[=1"] {
            assert!(parse(raw.as_bytes()).is_err(), "{raw}");
        }
    }

    fn any_tree() -> impl Strategy<Value = Node> {
        let leaf = ".{0,12}".prop_map(Node::Text);
        let named = leaf.prop_recursive(5, 40, 5, |inner| {
            proptest::collection::btree_map("[a-z0-9_ &=%+é]{1,8}", inner, 1..5)
                .prop_map(|children| Node::Branch(children.into_iter().collect()))
        });
        proptest::collection::btree_map("[a-z0-9_ &=%+é]{1,8}", named, 0..5)
            .prop_map(|children| Node::Branch(children.into_iter().collect()))
    }

    fn write(node: &Node, name: &str, pairs: &mut Vec<(String, String)>) {
        match node {
            Node::Text(value) => pairs.push((name.to_owned(), value.clone())),
            Node::Branch(children) => {
                for (key, child) in children {
                    let name = match name {
                        "" => key.clone(),
                        _ => format!("{name}[{key}]"),
                    };
                    write(child, &name, pairs);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_tree_survives_the_round_trip(tree in any_tree()) {
            let mut pairs = Vec::new();
            write(&tree, "", &mut pairs);
            let raw = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            prop_assert_eq!(parse(raw.as_bytes()).expect("well-formed"), tree);
        }

        #[test]
        fn no_input_panics(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&raw);
        }
    }
}
