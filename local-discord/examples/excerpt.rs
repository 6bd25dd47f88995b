//! Cuts Discord's description of its HTTP API down to the answers of the routes in use:
//!
//!     cargo run -p local-discord --example excerpt -- openapi.json > local-discord/tests/openapi/excerpt.json
//!
//! The description is `specs/openapi.json` of <https://github.com/discord/discord-api-spec>. Routes are kept by the excerpt that is
//! there, so a new one is added to its `paths` by hand first, with any value.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

const EXCERPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/excerpt.json");

fn main() -> Result<()> {
    let file = std::env::args().nth(1).context("name the file with the whole description")?;
    let read = |file: &str| -> Result<Value> { Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?) };
    let whole = read(&file).with_context(|| format!("cannot read {file}"))?;
    let before = read(EXCERPT).with_context(|| format!("cannot read {EXCERPT}"))?;
    let mut paths = Map::new();
    for (path, methods) in before["paths"].as_object().context("the excerpt has no paths")? {
        for method in methods.as_object().context("a path without methods")?.keys() {
            let responses = whole["paths"][path][method]["responses"].as_object();
            let responses = responses.with_context(|| format!("{method} {path} is not described"))?;
            // Only what an answer that went well contains; errors are alike everywhere.
            let well = responses.iter().filter(|(status, _)| status.starts_with('2'));
            let bodies =
                well.map(|(status, answer)| (status.clone(), answer["content"]["application/json"]["schema"].clone()));
            paths.entry(path.clone()).or_insert_with(|| json!({}))[method] = bodies.collect();
        }
    }
    let mut wanted = BTreeSet::from(["ErrorResponse".to_owned(), "RatelimitedResponse".to_owned()]);
    let mut schemas = Map::new();
    references(&Value::Object(paths.clone()), &mut wanted);
    while let Some(name) = wanted.pop_first() {
        if schemas.contains_key(&name) {
            continue;
        }
        let mut schema = whole["components"]["schemas"][&name].clone();
        shorten(&mut schema);
        references(&schema, &mut wanted);
        schemas.insert(name, schema);
    }
    let license = whole["info"]["license"].clone();
    let excerpt = json!({ "license": license, "paths": paths, "components": { "schemas": schemas } });
    println!("{}", serde_json::to_string_pretty(&excerpt)?);
    Ok(())
}

/// The names of the schemas that something refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            found.extend(name.map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Leaves out what only people read.
fn shorten(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // A property may have one of these names too; it is an object then.
            fields.retain(|name, value| !matches!(name.as_str(), "description" | "title") || value.is_object());
            fields.values_mut().for_each(shorten);
        }
        Value::Array(list) => list.iter_mut().for_each(shorten),
        _ => {}
    }
}
