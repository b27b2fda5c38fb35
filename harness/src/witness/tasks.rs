//! A recording in which tasks were chosen among has names for them in its file that say whose they are.

use serde_json::Value;

use crate::model::{ProcessId, Strands};

/// Puts names as people read them in the place of those that a recording has for itself.
pub(super) fn to_names(value: &mut Value, strands: Strands) -> Result<(), String> {
    rename(value, &|name| Ok(strands.name(name.parse::<ProcessId>()?)))
}

/// The other way round.
pub(super) fn from_names(value: &mut Value, strands: Strands) -> Result<(), String> {
    rename(value, &|name| Ok(strands.named(name)?.to_string()))
}

/// Wherever a recording names what was chosen among.
fn rename(value: &mut Value, to: &dyn Fn(&str) -> Result<String, String>) -> Result<(), String> {
    let renamed = |name: &mut Value| -> Result<(), String> {
        if let Some(old) = name.as_str() {
            *name = to(old)?.into();
        }
        Ok(())
    };
    for step in value["schedule"].as_array_mut().into_iter().flatten() {
        step.get_mut("choice").map_or(Ok(()), renamed)?;
        step["enabled"].as_array_mut().into_iter().flatten().try_for_each(renamed)?;
    }
    let waiting = value.get_mut("ending").and_then(|ending| ending.get_mut("blocked"));
    for waits in waiting.and_then(Value::as_array_mut).into_iter().flatten() {
        waits.get_mut("process").map_or(Ok(()), renamed)?;
    }
    Ok(())
}
