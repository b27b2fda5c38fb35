//! `cooks doctor`: whether this machine can trace, what is missing where not, and how fast it is.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cooks_harness::backend::{Backend, Chooser, Detail};
use cooks_harness::model::{Choice, Cut, Entry, Tree, View};
use cooks_harness::report::visible;
use cooks_harness::tracer::{Need, Program, State, TraceError, Tracer, needs};
use serde_json::{Value, json};

use crate::args::{DiagnoseFormat, Doctor};
use crate::failure::{CANNOT_TRACE, CLEAN, Failure};
use crate::say;

/// Operations of one measurement.
const OPERATIONS: usize = 20_000;
/// Executions of the other.
const EXECUTIONS: u32 = 200;

/// Lets whoever comes first go on.
struct First;

impl Chooser for First {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        view.enabled().next().map(Choice::Process).ok_or(Cut::Steps)
    }
}

/// Looks at the machine, tries a trace, and measures it.
pub fn doctor(args: &Doctor, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    let needs = needs();
    let measured = match needs.iter().find(|need| need.state == State::Missing) {
        Some(need) => Err(format!("{}: {}", need.name, need.found)),
        None => match measure(stop) {
            Err(TraceError::Interrupted) => return Err(TraceError::Interrupted.into()),
            measured => measured.map_err(|error| error.to_string()),
        },
    };
    let mut text = Vec::new();
    match args.format {
        DiagnoseFormat::Human => tell(&mut text, &needs, &measured)?,
        DiagnoseFormat::Json => {
            write!(text, "{}", visible::json(&format!("{:#}", object(&needs, &measured))))?;
        }
    }
    say::out(String::from_utf8_lossy(&text).trim_end())?;
    Ok(if measured.is_ok() { CLEAN } else { CANNOT_TRACE })
}

/// Microseconds of one operation and one execution, or why this machine cannot trace.
type Measured = Result<(f64, f64), String>;

fn word(state: State) -> &'static str {
    match state {
        State::Given => "ok",
        State::Limited => "limited",
        State::Missing => "missing",
    }
}

fn tell(out: &mut impl Write, needs: &[Need], measured: &Measured) -> io::Result<()> {
    let (kernel, user) = machine();
    writeln!(out, "{:<18}{kernel}", "kernel")?;
    writeln!(out, "{:<18}{user}", "user")?;
    for need in needs {
        writeln!(out, "{:<18}{:<9}{}", need.name, word(need.state), need.found)?;
        if need.state != State::Given {
            writeln!(out, "{:<18}  means: {}", "", need.means)?;
            writeln!(out, "{:<18}  to get it: {}", "", need.remedy)?;
        }
    }
    match measured {
        Ok((operation, execution)) => {
            writeln!(out, "{:<18}{operation:.1} µs: {:.0} a second", "one operation", 1e6 / operation)?;
            writeln!(out, "{:<18}{execution:.0} µs (two processes that look at a file)", "one execution")?;
            writeln!(out, "this machine can trace")
        }
        Err(error) => writeln!(out, "this machine cannot trace: {error}"),
    }
}

fn object(needs: &[Need], measured: &Measured) -> Value {
    let (kernel, user) = machine();
    let needs: Vec<Value> = needs
        .iter()
        .map(|need| {
            json!({
                "name": need.name, "state": word(need.state), "found": need.found,
                "means": need.means, "remedy": need.remedy,
            })
        })
        .collect();
    let figure = |number: f64| (number * 10.0).round() / 10.0;
    let mut object = json!({
        "format": 1, "can_trace": measured.is_ok(), "kernel": kernel, "user": user, "needs": needs,
    });
    match measured {
        Ok((operation, execution)) => {
            object["operation_us"] = figure(*operation).into();
            object["operations_per_second"] = (1e6 / operation).round().into();
            object["execution_us"] = figure(*execution).into();
        }
        Err(error) => object["error"] = error.as_str().into(),
    }
    object
}

/// The kernel, and who asks.
fn machine() -> (String, String) {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    let status = read("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let user = match ids.and_then(|ids| ids.split_whitespace().nth(1)) {
        Some("0") => "root".to_owned(),
        Some(id) => format!("{id} (works in a user namespace)"),
        None => "unknown".to_owned(),
    };
    (format!("{kernel} on {}", std::env::consts::ARCH), user)
}

/// Microseconds that one operation takes under control, and that one execution takes which has none to speak of.
fn measure(stop: &Arc<AtomicBool>) -> Result<(f64, f64), TraceError> {
    let file = Entry::File { mode: 0o644, content: b"x".to_vec() };
    let tree = Tree::from([("byte".to_owned(), file)]);
    // Written, for looks that repeat are made in one step.
    let writer = Program::closure("write a byte, many times", || {
        let Ok(file) = File::options().write(true).open("byte") else { return 1 };
        let all = (0..OPERATIONS).all(|_| file.write_all_at(b"y", 0).is_ok());
        i32::from(!all)
    });
    let short = Program::closure("look at a file", || i32::from(std::fs::metadata("byte").is_err()));
    let mut one = Tracer::new(&[writer], &[], tree.clone(), Arc::clone(stop))?;
    let begun = Instant::now();
    let steps = one.execute(&mut First, Detail::Search)?.trace.len();
    let operation = begun.elapsed().as_secs_f64() / steps.max(1) as f64;
    drop(one);
    let mut two = Tracer::new(&[short.clone(), short], &[], tree, Arc::clone(stop))?;
    let begun = Instant::now();
    for _ in 0..EXECUTIONS {
        two.execute(&mut First, Detail::Search)?;
    }
    Ok((operation * 1e6, begun.elapsed().as_secs_f64() * 1e6 / f64::from(EXECUTIONS)))
}
