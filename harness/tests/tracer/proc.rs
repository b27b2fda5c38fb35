//! What processes see of themselves in `/proc`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cooks_harness::explore::{Dpor, explore};
use cooks_harness::model::Entry;

use crate::support::{MAX_STEPS, files, shell, tracer, uncovered};

/// What the first of two scripts prints, over all executions; and what is not covered.
fn printed(scripts: [&str; 2]) -> (Vec<String>, Vec<String>) {
    let mut initial = files(&[("f", "1\n")]);
    initial.insert("to-f".into(), Entry::Link { target: "/proc/self/cwd/f".into() });
    initial.insert("to-fd".into(), Entry::Link { target: "/proc/thread-self/fd/3".into() });
    let mut tracer = tracer(&scripts.map(shell), initial);
    let mut seen = BTreeSet::new();
    let result = explore(&mut Dpor::new(), &mut tracer, MAX_STEPS, &mut |execution| {
        seen.insert(String::from_utf8_lossy(&execution.outcome.stdout[0]).into_owned());
        ControlFlow::Continue(())
    });
    assert!(result.expect("every execution can be run").exhaustive);
    (seen.into_iter().collect(), uncovered(&tracer))
}

#[test]
fn a_process_finds_its_files_by_its_own_id_and_through_links() {
    for reads in [
        "exec 3< f; read x < /proc/$$/fd/3; echo $x",
        "exec 3< f; read x < /proc/$$/task/$$/fd/3; echo $x",
        "read x < /proc/$$/cwd/f; echo $x",
        "read x < to-f; echo $x",
        "exec 3< f; read x < to-fd; echo $x",
        "cd /proc/$$/cwd/../workspace; read x < f; echo $x",
    ] {
        let (seen, not_covered) = printed([reads, "echo 2 > f"]);
        assert_eq!(
            (seen, not_covered),
            (["\n", "1\n", "2\n"].map(str::to_owned).to_vec(), vec![]),
            "{reads}"
        );
    }
}

#[test]
fn a_file_of_another_task_that_is_found_in_proc_is_a_gap() {
    let (seen, not_covered) = printed(["exec 3< f; cat /proc/$$/fd/3", "echo 2 > f"]);
    assert!(seen.contains(&"1\n".to_owned()), "{seen:?}");
    assert!(not_covered.iter().any(|gap| gap.contains("leads into the workspace")), "{not_covered:?}");
}
