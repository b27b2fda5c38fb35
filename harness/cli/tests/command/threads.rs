//! `--threads explore`: what shows only in another order of the threads of one process.

use crate::support::{Place, kinds, number};

/// Two threads: one writes the data, the other says that it is ready. In the order in which they begin nothing can be wrong.
const PUBLISH: &str = "import os, threading\n\
    def write():\n    os.pwrite(data, b'new', 0)\n\
    def publish():\n    os.mkdir('ready')\n\
    data = os.open('data', os.O_WRONLY)\n\
    jobs = [threading.Thread(target=job) for job in (write, publish)]\n\
    for job in jobs: job.start()\n\
    for job in jobs: job.join()\n";

const READ: &str = "test -d ready && cat data || echo not yet";

const COMMANDS: [&str; 2] = ["python3 publish.py", READ];

fn place() -> Place {
    Place::with(&[("work/publish.py", PUBLISH), ("work/data", "old")])
}

#[test]
fn an_order_of_threads_is_found_that_another_process_can_see() {
    let place = place();
    let fixed = place.explore(0, &COMMANDS, &["--dir", "work"]);
    assert_eq!((&fixed["verdict"], &fixed["exhaustive"]), (&"clean".into(), &true.into()));
    let explored = place.explore(1, &COMMANDS, &["--dir", "work", "--threads", "explore", "--all"]);
    assert_eq!((kinds(&explored), &explored["exhaustive"]), (vec!["dirty-read"], &true.into()));
    assert_eq!(explored["anomalies"][0]["processes"], serde_json::json!(["A", "B"]));
    let not_covered = explored["not_covered"].as_array().expect("a list");
    assert!(
        not_covered.iter().any(|it| it.as_str().is_some_and(|it| it.contains("in memory"))),
        "{explored}"
    );
    let counts = |report| ["complete", "redundant", "distinct_outcomes"].map(|key| number(report, key));
    // The reader comes before the directory is there, or sees it: of two, where the data is there before it. Where it comes later, `cat`
    // asks for the data three times, and it is there before one of these, or after all.
    assert_eq!(counts(&fixed), [2, 0, 2]);
    assert_eq!(counts(&explored), [2 + 1 + 4, 0, 3]);
    let witness = explored["anomalies"][0]["witness"].as_str().expect("a path");
    let again = place.cooks(&["replay", witness, "--quiet", "--format", "json"]).json(1);
    assert_eq!(kinds(&again), ["dirty-read"]);
}

#[test]
fn two_jobs_find_what_one_does() {
    let place = place();
    let options = ["--dir", "work", "--threads", "explore", "--all", "--jobs"];
    let with = |jobs| {
        let mut report = place.explore(1, &COMMANDS, &[&options[..], &[jobs]].concat());
        report["elapsed_s"].take();
        report
    };
    assert_eq!(with("1"), with("2"));
}

/// Which thread of a process is first is its own business: what it does alone, in some order of them, is not held against it.
#[test]
fn what_a_process_does_alone_in_another_order_of_its_threads_is_serial() {
    let log = "import os, threading\n\
        def put(name):\n    os.write(log, name)\n\
        log = os.open('log', os.O_WRONLY | os.O_APPEND)\n\
        jobs = [threading.Thread(target=put, args=(name,)) for name in (b'1', b'2')]\n\
        for job in jobs: job.start()\n\
        for job in jobs: job.join()\n";
    let place = Place::with(&[("work/log.py", log), ("work/log", "")]);
    let commands = ["python3 log.py", "test -s log"];
    let options = ["--dir", "work", "--threads", "explore", "--aborts", "allow"];
    let report = place.explore(0, &commands, &options);
    assert_eq!((&report["verdict"], &report["exhaustive"]), (&"clean".into(), &true.into()));
    // 12 or 21; and the other process is before the first of both, or not.
    assert_eq!(number(&report, "distinct_outcomes"), 4);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let place = place();
    for (options, message) in [
        (&["--preemptions", "1"][..], "`threads` explore with `preemptions` is of the strategy dfs"),
        (&["--equivalence", "observed"], "`threads` explore is of the equivalence trace"),
        (&["--shard", "1/2"], "--shard splits the search of dpor by traces, with fixed threads"),
    ] {
        let command =
            [&["explore", "--threads", "explore", "-p", "true", "-p", "true"][..], options].concat();
        place.cooks(&command).refuses(2, message);
    }
}
