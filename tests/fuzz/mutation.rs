//! Changes that make valid bytes and valid JSON invalid, or valid in an unusual way.
//!
//! A position is chosen relative to the length, so that every change fits every input.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Fragments that parsers, databases, pages and spreadsheets are known to stumble over.
const FRAGMENTS: [&[u8]; 42] = [
    b"\0",
    b"\x01",
    b"\x1b[31m",
    b"\x7f",
    b"\r\n",
    b"\r\nset-cookie: a=b\r\n\r\n",
    b"\t",
    b" ",
    b"",
    // Invalid UTF-8: a lone continuation byte, an overlong slash, half a character, a surrogate.
    b"\x80",
    b"\xc0\xaf",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xff\xfe",
    // Unicode: a byte order mark, right to left, zero width, combining marks, two that change in lower case.
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\xe2\x80\x8b",
    b"e\xcc\x81\xcc\x81",
    b"\xc4\xb0",
    b"\xe1\xba\x9e",
    b"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9",
    b"\xf4\x8f\xbf\xbf",
    // Numbers at their limits.
    b"-1",
    b"0",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"1e999",
    b"NaN",
    // The syntax of queries, cookies, signatures, paths, CSV, HTML and SQL.
    b"%00",
    b"%",
    b"%zz",
    b"%252f",
    b"&",
    b"=",
    b";",
    b",",
    b"../",
    b"//",
    b"\"",
    b"<script>",
    b"'--",
];

/// Values that a field of JSON does not have.
fn values() -> Vec<Value> {
    let nested = (0..100).fold(json!(null), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
        json!(0.5),
        json!(""),
        json!("\0"),
        json!("\u{202e}"),
        json!("x".repeat(10_000)),
        json!([]),
        json!({}),
        json!([null]),
        json!({ "id": null }),
        json!({ "id": "\0" }),
        nested,
    ]
}

/// Bytes that are printed as text.
#[derive(Clone)]
pub struct Bytes(Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A change to bytes.
#[derive(Clone, Debug)]
pub enum Change {
    Flip {
        at: Index,
        bits: u8,
    },
    Remove {
        from: Index,
        to: Index,
    },
    Truncate {
        at: Index,
    },
    Repeat {
        from: Index,
        to: Index,
        times: usize,
    },
    Insert {
        at: Index,
        fragment: Bytes,
    },
    Replace {
        from: Index,
        to: Index,
        fragment: Bytes,
    },
    /// A run of one byte.
    Fill {
        at: Index,
        byte: u8,
        length: usize,
    },
    /// Brackets around everything.
    Nest {
        open: u8,
        close: u8,
        depth: usize,
    },
    /// Other bytes entirely.
    Become {
        bytes: Bytes,
    },
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index| {
            let (from, to) = (at(from), at(to));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Flip { at, bits } if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Self::Flip { .. } => {}
            Self::Remove { from, to } => drop(bytes.drain(range(from, to))),
            Self::Truncate { at: end } => bytes.truncate(at(end)),
            Self::Repeat { from, to, times } => {
                let range = range(from, to);
                let repeated = bytes[range.clone()].repeat((*times).min(MAX_LENGTH / (range.len() + 1)));
                bytes.splice(range, repeated);
            }
            Self::Insert { at: place, fragment } => {
                let place = at(place);
                bytes.splice(place..place, fragment.0.iter().copied());
            }
            Self::Replace { from, to, fragment } => drop(bytes.splice(range(from, to), fragment.0.iter().copied())),
            Self::Fill { at: place, byte, length } => {
                let place = at(place);
                bytes.splice(place..place, std::iter::repeat_n(*byte, *length));
            }
            Self::Nest { open, close, depth } => {
                let mut nested = vec![*open; *depth];
                nested.append(bytes);
                nested.extend(std::iter::repeat_n(*close, *depth));
                *bytes = nested;
            }
            Self::Become { bytes: Bytes(other) } => bytes.clone_from(other),
        }
    }
}

/// The longest run that a change creates: more than any limit of the app's on a form, a header or a prompt.
const MAX_LENGTH: usize = 100_000;

/// The largest tree that a change creates, in nodes.
const MAX_NODES: usize = 10_000;

/// Applies changes, one after the other.
pub fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        change.apply(&mut bytes);
    }
    bytes
}

/// Up to `most` changes, and at least one.
pub fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    vec(change(), 1..=most)
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    // PostgreSQL stores no NUL, so it is tried more often.
    let fragment = prop_oneof![1 => Just(FRAGMENTS[0]), 7 => select(FRAGMENTS.as_slice())];
    let fragment = || fragment.clone().prop_map(|fragment| Bytes(fragment.to_vec()));
    let length = prop_oneof![4 => 1..300_usize, 1 => Just(MAX_LENGTH)];
    let brackets = select(vec![(b'[', b']'), (b'{', b'}'), (b'"', b'"'), (b'(', b')')]);
    prop_oneof![
        3 => (index(), 1..=u8::MAX).prop_map(|(at, bits)| Change::Flip { at, bits }),
        2 => (index(), index()).prop_map(|(from, to)| Change::Remove { from, to }),
        1 => index().prop_map(|at| Change::Truncate { at }),
        2 => (index(), index(), 2..50_usize).prop_map(|(from, to, times)| Change::Repeat { from, to, times }),
        4 => (index(), fragment()).prop_map(|(at, fragment)| Change::Insert { at, fragment }),
        4 => (index(), index(), fragment()).prop_map(|(from, to, fragment)| Change::Replace { from, to, fragment }),
        1 => (index(), any::<u8>(), length).prop_map(|(at, byte, length)| Change::Fill { at, byte, length }),
        1 => (brackets, 1..200_usize).prop_map(|((open, close), depth)| Change::Nest { open, close, depth }),
        1 => vec(any::<u8>(), 0..64).prop_map(|bytes| Change::Become { bytes: Bytes(bytes) }),
        // Whole values that are plausible elsewhere.
        2 => fragment().prop_map(|bytes| Change::Become { bytes }),
    ]
}

/// A change to a tree of JSON, at the node of that number in depth-first order.
#[derive(Clone, Debug)]
pub struct TreeChange {
    at: Index,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Become(Value),
    /// An array with the node, `usize` times nested.
    Nest(usize),
    /// An array of many copies.
    Repeat(usize),
    /// The fields or elements of an object or array are removed.
    Empty,
    /// Changes to the bytes of a string.
    Text(Vec<Change>),
}

/// Up to three changes of a tree, or none.
pub fn tree_changes() -> impl Strategy<Value = Vec<TreeChange>> {
    let action = prop_oneof![
        4 => select(values()).prop_map(Action::Become),
        1 => (1..100_usize).prop_map(Action::Nest),
        1 => (0..30_usize).prop_map(Action::Repeat),
        1 => Just(Action::Empty),
        3 => changes(2).prop_map(Action::Text),
    ];
    vec((any::<Index>(), action).prop_map(|(at, action)| TreeChange { at, action }), 0..=3)
}

/// Applies changes to a tree, one after the other.
pub fn changed_tree(tree: &Value, changes: &[TreeChange]) -> Value {
    let mut tree = tree.clone();
    for TreeChange { at, action } in changes {
        let mut number = at.index(nodes(&tree));
        if let Some(node) = node(&mut tree, &mut number) {
            action.apply(node);
        }
    }
    tree
}

impl Action {
    fn apply(&self, node: &mut Value) {
        *node = match (self, node.take()) {
            (Self::Become(value), _) => value.clone(),
            (Self::Nest(depth), inner) => (0..*depth).fold(inner, |inner, _| json!([inner])),
            (Self::Repeat(times), inner) => {
                let times = (*times).min(MAX_NODES / nodes(&inner));
                Value::Array(vec![inner; times])
            }
            (Self::Empty, Value::Object(_)) => json!({}),
            (Self::Empty, _) => json!([]),
            (Self::Text(changes), Value::String(text)) => {
                Value::String(String::from_utf8_lossy(&changed(text.as_bytes(), changes)).into_owned())
            }
            (Self::Text(_), other) => Value::String(other.to_string()),
        };
    }
}

fn nodes(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(elements) => elements.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

/// The node of that number, which counts down to it.
fn node<'a>(tree: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(tree);
    }
    *number -= 1;
    match tree {
        Value::Array(elements) => elements.iter_mut().find_map(|element| node(element, number)),
        Value::Object(fields) => fields.values_mut().find_map(|field| node(field, number)),
        _ => None,
    }
}
