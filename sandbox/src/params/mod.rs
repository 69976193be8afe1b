//! The parameters that each endpoint accepts, and validation of requests.
//!
//! The `.params` files in this folder have one section per endpoint, indented as the parameters
//! nest. `name*` is required and `name[]` is a list. A type follows the name; without one, the
//! indented lines below are the fields of an object. `!` marks a parameter or value that Stripe
//! accepts but the sandbox does not simulate: it is rejected by name instead of being ignored. `!*`
//! stands for all other names that Stripe accepts there.
//!
//! Invariant: a valid request has only known parameters, at every depth, each of the declared type.
//! Proved by `every_section_is_a_route` and `tests/requests.rs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::form::Node;

const SOURCES: &[&str] = &[
    include_str!("customers.params"),
    include_str!("catalog.params"),
    include_str!("checkout.params"),
    include_str!("subscriptions.params"),
    include_str!("invoices.params"),
    include_str!("payments.params"),
    include_str!("portal.params"),
    include_str!("meters.params"),
    include_str!("platform.params"),
    include_str!("sandbox.params"),
];

static SECTIONS: LazyLock<BTreeMap<String, Vec<Field>>> =
    LazyLock::new(|| SOURCES.iter().flat_map(|source| sections(source)).collect());

/// One parameter.
#[derive(Debug)]
struct Field {
    name: String,
    required: bool,
    list: bool,
    supported: bool,
    kind: Kind,
}

/// The type of a parameter.
#[derive(Debug)]
enum Kind {
    Text,
    Integer,
    /// The page size of a list, 1 to 100.
    Limit,
    Decimal,
    Boolean,
    /// A boolean for which the sandbox does not support `true`.
    False,
    Currency,
    Metadata,
    /// A timestamp, or the bounds `gt`, `gte`, `lt` and `lte`.
    Range,
    /// `now` or a timestamp.
    NowOrTimestamp,
    /// One of several values, each with a flag for whether the sandbox supports it.
    Choice(Vec<(String, bool)>),
    Object(Vec<Field>),
}

/// Returns the endpoints that have a section, such as `GET /v1/customers/:id`.
#[cfg(test)]
pub(crate) fn known_endpoints() -> Vec<String> {
    SECTIONS.keys().cloned().collect()
}

/// Describes the parameters of an endpoint.
pub(crate) fn describe(endpoint: &str) -> Value {
    let fields = SECTIONS.get(endpoint).map_or(&[][..], Vec::as_slice);
    let shown = fields.iter().filter(|field| field.name != "expand").map(|field| {
        let kind = match &field.kind {
            Kind::Integer | Kind::Limit => "integer".to_owned(),
            Kind::Boolean => "boolean".to_owned(),
            Kind::Choice(values) => one_of(values),
            _ => "text".to_owned(),
        };
        json!({ "name": field.name, "type": kind, "required": field.required })
    });
    shown.collect()
}

/// Validates a parsed form and converts its values: integers become numbers, lists become arrays. An empty
/// string stays `""`, which unsets a field.
///
/// # Errors
/// `parameter_unknown`, `parameter_missing`, `parameter_invalid_*`, or `sandbox_unsupported`.
pub(crate) fn check(endpoint: &str, form: &Node) -> Result<Value, ApiError> {
    let fields =
        SECTIONS.get(endpoint).ok_or_else(|| ApiError::internal(format!("no parameter tree for {endpoint}")))?;
    let Node::Branch(children) = form else {
        return Ok(json!({}));
    };
    let mut unknown = Vec::new();
    find_unknown(fields, children, "", &mut unknown);
    if let [first, rest @ ..] = unknown.as_slice() {
        let noun = if rest.is_empty() { "parameter" } else { "parameters" };
        let message = format!("Received unknown {noun}: {}", unknown.join(", "));
        return Err(ApiError::invalid("parameter_unknown", message).on(first));
    }
    read_object(fields, children, "")
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}[{name}]") }
}

fn find_unknown(fields: &[Field], children: &[(String, Node)], prefix: &str, unknown: &mut Vec<String>) {
    for (name, node) in children {
        let path = join(prefix, name);
        let Some(field) = fields.iter().find(|field| field.name == *name) else {
            if !has_others(fields) {
                unknown.push(path);
            }
            continue;
        };
        let (true, Kind::Object(inner), Node::Branch(below)) = (field.supported, &field.kind, node) else {
            continue;
        };
        if !field.list {
            find_unknown(inner, below, &path, unknown);
            continue;
        }
        for (index, element) in below {
            if let Node::Branch(below) = element {
                find_unknown(inner, below, &join(&path, index), unknown);
            }
        }
    }
}

/// Returns whether Stripe accepts more names than are listed: `!*`.
fn has_others(fields: &[Field]) -> bool {
    fields.iter().any(|field| field.name.is_empty())
}

fn read_object(fields: &[Field], children: &[(String, Node)], prefix: &str) -> Result<Value, ApiError> {
    let mut object = Map::new();
    let listed = |name: &str| fields.iter().any(|field| field.name == name);
    if let Some((other, _)) = children.iter().find(|(name, _)| !listed(name)) {
        return Err(ApiError::unsupported(&join(prefix, other)));
    }
    for field in fields {
        let path = join(prefix, &field.name);
        let sent = children.iter().find(|(name, _)| *name == field.name);
        let Some((_, node)) = sent else {
            if field.required {
                let message = format!("Missing required param: {path}.");
                return Err(ApiError::invalid("parameter_missing", message).on(&path));
            }
            continue;
        };
        if !field.supported {
            return Err(ApiError::unsupported(&path));
        }
        object.insert(field.name.clone(), read_field(field, node, &path)?);
    }
    Ok(Value::Object(object))
}

fn read_field(field: &Field, node: &Node, path: &str) -> Result<Value, ApiError> {
    if let Node::Text(text) = node
        && text.is_empty()
    {
        if !field.required {
            return Ok(json!(""));
        }
        let message = format!(
            "You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; however '{path}' cannot be unset. You should remove '{path}' from your request or supply a non-empty value."
        );
        return Err(ApiError::invalid("parameter_invalid_empty", message).on(path));
    }
    if !field.list {
        return read_value(&field.kind, node, path);
    }
    let Node::Branch(elements) = node else {
        return Err(ApiError::invalid("", "Invalid array").on(path));
    };
    let mut numbered = Vec::new();
    for (index, element) in elements {
        let number: u32 = index.parse().map_err(|_| ApiError::invalid("", "Invalid array").on(path))?;
        numbered.push((number, read_value(&field.kind, element, &join(path, index))?));
    }
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, value)| value).collect())
}

fn read_value(kind: &Kind, node: &Node, path: &str) -> Result<Value, ApiError> {
    match (kind, node) {
        (Kind::Object(fields), Node::Branch(children)) => read_object(fields, children, path),
        (Kind::Metadata, Node::Branch(children)) => read_metadata(children, path),
        (Kind::Range, Node::Branch(children)) => read_range(children, path),
        (Kind::Object(_) | Kind::Metadata, Node::Text(_)) => Err(ApiError::invalid("", "Invalid object").on(path)),
        (_, Node::Text(text)) => read_text(kind, text, path),
        (_, Node::Branch(_)) => Err(ApiError::invalid("", "Invalid string").on(path)),
    }
}

fn read_text(kind: &Kind, text: &str, path: &str) -> Result<Value, ApiError> {
    match kind {
        Kind::Integer | Kind::Range => integer(text, path).map(Value::from),
        Kind::NowOrTimestamp if text == "now" => Ok(json!("now")),
        Kind::NowOrTimestamp => integer(text, path).map(Value::from),
        Kind::Limit => match integer(text, path)? {
            limit @ 1..=100 => Ok(json!(limit)),
            limit => {
                let bound = if limit < 1 { "greater than or equal to 1" } else { "less than or equal to 100" };
                let message = format!("This value must be {bound} (it currently is '{limit}').");
                Err(ApiError::invalid("parameter_invalid_integer", message).on(path))
            }
        },
        Kind::Decimal => {
            let valid = text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-') && text.parse::<f64>().is_ok();
            if valid {
                return Ok(json!(text));
            }
            let message = format!("Invalid decimal: {text}");
            Err(ApiError::invalid("parameter_invalid_decimal", message).on(path))
        }
        Kind::Boolean => boolean(text, path).map(Value::from),
        Kind::False => match boolean(text, path)? {
            false => Ok(json!(false)),
            true => Err(ApiError::unsupported(path)),
        },
        Kind::Currency => {
            let code = text.to_ascii_lowercase();
            if crate::money::is_currency(&code) {
                return Ok(json!(code));
            }
            Err(ApiError::invalid("", format!("Invalid currency: {text}.")).on(path))
        }
        Kind::Choice(values) => match values.iter().find(|(value, _)| value == text) {
            Some((_, true)) => Ok(json!(text)),
            Some((_, false)) => Err(ApiError::unsupported(&format!("{path}={text}")).on(path)),
            None => {
                let name = path.rsplit('[').next().unwrap_or(path).trim_end_matches(']');
                let message = format!("Invalid {name}: must be {}", one_of(values));
                Err(ApiError::invalid("", message).on(path))
            }
        },
        Kind::Text | Kind::Object(_) | Kind::Metadata => Ok(json!(text)),
    }
}

fn one_of(values: &[(String, bool)]) -> String {
    let values: Vec<&str> = values.iter().map(|(value, _)| value.as_str()).collect();
    match values.as_slice() {
        [only] => (*only).to_owned(),
        [first, second] => format!("one of {first} or {second}"),
        [head @ .., last] => format!("one of {}, or {last}", head.join(", ")),
        [] => String::new(),
    }
}

fn integer(text: &str, path: &str) -> Result<i64, ApiError> {
    text.parse()
        .map_err(|_| ApiError::invalid("parameter_invalid_integer", format!("Invalid integer: {text}")).on(path))
}

fn boolean(text: &str, path: &str) -> Result<bool, ApiError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ApiError::invalid("", format!("Invalid boolean: {text}")).on(path)),
    }
}

/// Reads metadata within Stripe's limits: 50 keys, 40 characters per key, 500 per value.
fn read_metadata(children: &[(String, Node)], path: &str) -> Result<Value, ApiError> {
    let mut map = Map::new();
    if children.len() > 50 {
        let message = "Metadata can have up to 50 keys.";
        return Err(ApiError::invalid("", message).on(path));
    }
    for (key, node) in children {
        let Node::Text(text) = node else {
            let message = "Metadata values must be strings, but you passed in a value of type hash";
            return Err(ApiError::invalid("", message).on(&join(path, key)));
        };
        if key.chars().count() > 40 {
            let message = format!("Metadata keys can have up to 40 characters, but you passed in a key '{key}'.");
            return Err(ApiError::invalid("", message).on(path));
        }
        if text.chars().count() > 500 {
            let message = format!(
                "Metadata values can have up to 500 characters, but you passed in a value for '{key}' that is longer."
            );
            return Err(ApiError::invalid("", message).on(&join(path, key)));
        }
        map.insert(key.clone(), json!(text));
    }
    Ok(Value::Object(map))
}

fn read_range(children: &[(String, Node)], path: &str) -> Result<Value, ApiError> {
    let mut map = Map::new();
    for (key, node) in children {
        let path = join(path, key);
        match (key.as_str(), node) {
            ("gt" | "gte" | "lt" | "lte", Node::Text(text)) => {
                map.insert(key.clone(), json!(integer(text, &path)?));
            }
            _ => {
                let message = format!("Received unknown parameter: {path}");
                return Err(ApiError::invalid("parameter_unknown", message).on(&path));
            }
        }
    }
    Ok(Value::Object(map))
}

/// Parses a `.params` file: a line without indentation starts a section.
fn sections(source: &str) -> Vec<(String, Vec<Field>)> {
    let lines: Vec<(usize, &str)> = source
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| (line.len() - line.trim_start().len(), line.trim()))
        .collect();
    let mut sections = Vec::new();
    let mut at = 0;
    while let Some((_, endpoint)) = lines.get(at) {
        at += 1;
        let mut fields = fields_at(&lines, &mut at, 2);
        fields.push(field("expand[]", Kind::Text));
        sections.push(((*endpoint).to_owned(), fields));
    }
    sections
}

fn fields_at(lines: &[(usize, &str)], at: &mut usize, depth: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some((indent, line)) = lines.get(*at)
        && *indent >= depth
    {
        *at += 1;
        if *line == "@page" {
            fields.push(field("limit", Kind::Limit));
            fields.push(field("starting_after", Kind::Text));
            fields.push(field("ending_before", Kind::Text));
            continue;
        }
        let (name, kind) = line.split_once(' ').unwrap_or((line, ""));
        let kind = if kind.is_empty() { Kind::Object(fields_at(lines, at, depth + 2)) } else { named_kind(kind) };
        fields.push(field(name, kind));
    }
    fields
}

fn field(written: &str, kind: Kind) -> Field {
    let supported = !written.starts_with('!');
    let name = written.trim_start_matches('!');
    if name == "*" {
        return Field { name: String::new(), required: false, list: false, supported, kind };
    }
    let list = name.ends_with("[]");
    let name = name.trim_end_matches("[]");
    Field { name: name.trim_end_matches('*').to_owned(), required: name.ends_with('*'), list, supported, kind }
}

fn named_kind(name: &str) -> Kind {
    match name {
        "string" => Kind::Text,
        "integer" | "timestamp" => Kind::Integer,
        "decimal" => Kind::Decimal,
        "boolean" => Kind::Boolean,
        "false" => Kind::False,
        "currency" => Kind::Currency,
        "metadata" => Kind::Metadata,
        "range" => Kind::Range,
        "now_or_timestamp" => Kind::NowOrTimestamp,
        values => Kind::Choice(
            values
                .split('|')
                .map(|value| (value.trim_start_matches('!').to_owned(), !value.starts_with('!')))
                .collect(),
        ),
    }
}
