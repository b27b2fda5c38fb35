use std::{env, fs};
fn main() -> std::io::Result<()> {
    let name = env::args().nth(1).unwrap();
    let mut text = fs::read_to_string("state")?;
    text.push_str(&name);
    fs::write(format!("{name}.tmp"), text)?;
    fs::rename(format!("{name}.tmp"), "state")
}
