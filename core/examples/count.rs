//! Counts up an agent's part: `count DIR AGENT [update|save]`. Start as many at once as you like.

use cooks_core::{Error, Metadata, Store};
use serde_json::{Value, json};

fn count_up(metadata: &mut Metadata, id: &str) -> u64 {
    let count = metadata.get(id).and_then(Value::as_u64).unwrap_or(0) + 1;
    metadata.insert(id.to_owned(), json!(count));
    count
}

fn run(dir: &str, id: &str, how: &str) -> Result<u64, Error> {
    let store = Store::open(dir)?;
    let agent = store.agent(id)?;
    if how == "update" {
        return agent.update(|metadata| count_up(metadata, id));
    }
    let base = store.load()?;
    let mut mine = base.to_metadata();
    let count = count_up(&mut mine, id);
    agent.save(&base, &mine)?;
    Ok(count)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (dir, id, how) = match &arguments[..] {
        [dir, id] => (dir, id, "update"),
        [dir, id, how] if how == "update" || how == "save" => (dir, id, how.as_str()),
        _ => return Err("usage: count DIR AGENT [update|save]".into()),
    };
    println!("{}", run(dir, id, how)?);
    Ok(())
}
