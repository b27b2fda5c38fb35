//! The workspace between executions: only what has changed is laid out and read again, and nobody can tell.

use cooks_harness::model::{Entry, Root, Tree, name};
use cooks_harness::tracer::{TraceError, Tracer};

use crate::support::{InTurn, execution, shell};

/// What a program of the system's says of the whole workspace.
const ALL: &str = "find . -mindepth 1 -printf '%P %y %m %l\\n' | sort
    find . -type f | sort | while read f; do echo \"$f:\"; cat \"$f\"; done
    find . -mindepth 1 -links +1 ! -type d -printf '%P %n\n' | sort";

/// What `ALL` says of this tree.
fn told(tree: &Tree) -> String {
    let mut lines: Vec<String> = tree
        .keys()
        .map(|path| match &tree[tree.first_name(path)] {
            Entry::Dir { mode } => format!("{path} d {mode:o} "),
            Entry::File { mode, .. } => format!("{path} f {mode:o} "),
            Entry::Link { target } => format!("{path} l 777 {target}"),
            Entry::Other { mode, .. } => format!("{path} p {mode:o} "),
            Entry::HardLink { .. } => panic!("{path} is a further name of a further name"),
        })
        .collect();
    lines.sort();
    let files = tree.keys().filter_map(|path| match &tree[tree.first_name(path)] {
        Entry::File { content, .. } => Some((path, String::from_utf8_lossy(content))),
        _ => None,
    });
    let mut contents: Vec<_> = files.map(|(path, text)| (format!("./{path}"), text)).collect();
    contents.sort();
    let contents = contents.iter().map(|(path, text)| format!("{path}:\n{text}"));
    let names = |path| tree.keys().filter(|other| tree.first_name(other) == tree.first_name(path)).count();
    let linked = tree.keys().filter(|path| names(path) > 1).map(|path| format!("{path} {}\n", names(path)));
    let mut linked: Vec<_> = linked.collect();
    linked.sort();
    lines.join("\n") + "\n" + &contents.collect::<String>() + &linked.concat()
}

fn initial() -> Tree {
    let file = |text: &str| Entry::File { mode: 0o640, content: text.as_bytes().to_vec() };
    let dir = || Entry::Dir { mode: 0o755 };
    let to = |path: &str| Entry::HardLink { to: path.into() };
    [
        ("a", file("one\n")),
        ("d", dir()),
        ("d-f", file("beside\n")),
        ("d/f", file("within\n")),
        ("d/g", file("")),
        ("e", dir()),
        ("e/x", dir()),
        ("e/x/y", file("deep\n")),
        ("h", to("d/g")),
        ("h-h", file("linked\n")),
        ("h2", to("d/g")),
        ("h3", to("h-h")),
        ("link", Entry::Link { target: "d/f".into() }),
        ("pipe", Entry::Other { kind: "fifo".into(), mode: 0o644 }),
    ]
    .map(|(path, entry)| (path.to_owned(), entry))
    .into()
}

#[test]
fn whatever_is_done_is_read_and_undone() {
    for script in [
        "true",
        "echo more >> a",
        "echo other > a; echo through >> link",
        "mv d moved; echo x > moved/f",
        "mv d moved; mkdir d; echo x > d/f",
        "rm -r e; echo now a file > e",
        "rm -r e; mkdir e e/x; echo z > e/x/y",
        "chmod 600 a d/g",
        "chmod 700 d",
        "ln a b; echo more >> b",
        "echo more >> h3",
        "echo more > h; rm d/g",
        "rm h-h; echo x > h-h",
        "rm h-h h3",
        "ln h-h b; echo more >> h3",
        "mv h t; mv h2 h; echo more >> t",
        "chmod 600 h3",
        "mv d moved; mv h-h moved/x",
        "ln link l; ln pipe p",
        "ln -sf a link; echo more >> link",
        "rm link; mkdir link; echo x > link/f",
        "mv a d/; mv d/f a; echo more >> a",
        "mkdir n; mv d n/; echo q > n/d/f; rm n/d/g",
        "mkdir n; mv e n/; echo q > n/e/x/y; rm -r n",
        "rm pipe; mkfifo pipe other",
        "cp -r d d2; rm d/g; : > d-f",
        "echo x > t; mv t a; echo x > t; mv t d/g",
        "mv a t; mv d-f a; mv t d-f; echo more >> a",
        "echo x > \"$(printf 'n\\377')\"",
    ] {
        let limits = cooks_harness::limits::Limits::default();
        let mut tracer =
            Tracer::new(&[shell(script)], &[shell(ALL)], initial(), limits).expect("it can trace");
        for round in 0..3 {
            let tree = execution(&mut tracer, &mut InTurn).outcome.tree;
            let said = tracer.run_alone(0).expect("it runs").stdout;
            let said = name::text(said);
            assert_eq!(said, told(&tree), "{script}, round {round}");
            tracer.reset().expect("it can be laid out");
            let said = tracer.run_alone(0).expect("it runs").stdout;
            assert_eq!(String::from_utf8_lossy(&said), told(&initial()), "{script}, round {round}");
        }
    }
}

/// Whatever was checked before: the tracer lays nothing out elsewhere.
#[test]
fn a_tree_that_leads_elsewhere_is_no_beginning() {
    let begins = |root, path: &str| {
        let file = Entry::File { mode: 0o644, content: b"crafted".to_vec() };
        let tree = Tree::from([(path.to_owned(), file)]);
        Tracer::with_root(root, &[shell("true")], &[], tree, cooks_harness::limits::Limits::default())
            .map(drop)
    };
    for (root, path) in [
        (Root::Host, "../x"),
        (Root::Host, "/etc/x"),
        (Root::Host, "d/x"),
        (Root::Overlay, "../x"),
        (Root::Overlay, "/etc/../x"),
        (Root::Overlay, "/usr/x"),
        (Root::Overlay, "/proc/sys/x"),
    ] {
        let begun = begins(root, path);
        assert!(matches!(begun, Err(TraceError::Tree(_))), "{root:?} {path}: {begun:?}");
    }
    begins(Root::Host, "x").expect("this one is fine");
}
