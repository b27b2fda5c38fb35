use cooks_harness::backend::*;
use cooks_harness::model::*;
use cooks_harness::tracer::*;
struct First;
impl Chooser for First {
    fn choose(&mut self, v: View<'_>) -> Result<Choice, Cut> {
        Ok(Choice::Process(v.enabled().next().unwrap()))
    }
}
struct Rr;
impl Chooser for Rr {
    fn choose(&mut self, v: View<'_>) -> Result<Choice, Cut> {
        let e: Vec<_> = v.enabled().collect();
        Ok(Choice::Process(e[v.trace.len() % e.len()]))
    }
}
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dir = std::path::Path::new(&args[0]);
    let n: usize = args[1].parse().unwrap();
    let rr = args[2] == "rr";
    let progs: Vec<Program> = args[3..].iter().map(|c| Program::parse(c)).collect();
    let tree = cooks_harness::workspace::capture(dir).unwrap();
    let mut t = Tracer::new(&progs, &[], tree, Default::default()).unwrap();
    let start = std::time::Instant::now();
    let mut first = None;
    for i in 0..n {
        let e = if rr { t.execute(&mut Rr, Detail::Search) } else { t.execute(&mut First, Detail::Search) }
            .unwrap();
        let json = serde_json::to_string(&e).unwrap();
        if i == 0 {
            for ev in &e.trace {
                println!(
                    "{} {:4} {} {:?} -> {:?} {} {:?} {:?}",
                    ev.process,
                    ev.task,
                    ev.operation.call.name,
                    ev.operation.call.path,
                    ev.operation.call.target,
                    ev.operation.call.detail,
                    ev.result,
                    ev.exit
                );
                if std::env::var("ACC").is_ok() {
                    for a in &ev.operation.accesses {
                        println!("        {a:?}");
                    }
                }
            }
            println!("{:?} {:?}", e.ending, e.outcome);
            for p in 0..progs.len() {
                println!("stderr {}: {}", p, String::from_utf8_lossy(&t.stderr(ProcessId(p)).unwrap()));
            }
            first = Some(json);
        } else if first.as_ref() != Some(&json) {
            println!("DIFFERS at {i}");
        }
    }
    println!("{} executions in {:?}; not covered {:?}", n, start.elapsed(), t.not_covered());
}
