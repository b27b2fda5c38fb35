//! One writer, and readers that overlap without a pause: bare flock lets it wait for ever.

use std::path::Path;

use cooks_benches::{crowd, locks, ours};
use cooks_core::host::Mode;
use cooks_core::{METADATA_FILE, Metadata};

use crate::Run;
use crate::fairness::{LOCKS, holder};
use crate::pack::{self, Work, timed};
use crate::table::{Figures, Table};

const READERS: usize = 4;

/// Each holds the lock for a while, the writer exclusively, the readers together.
pub fn holding(run: &Run) {
    let title = format!("writer against {READERS} readers");
    let mut table = Table::new(title.clone(), None);
    let mut beside = Vec::new();
    for (name, open) in LOCKS {
        run.cell(&title, name, |dir| {
            let mode = |number| if number == 0 { Mode::Exclusive } else { Mode::Shared };
            let tallies = pack::run(1 + READERS, run.time, |number| holder(*open, dir, mode(number)));
            let (writer, readers) = tallies.split_at(1);
            table.row(name, Figures::of(writer, run.time));
            beside.push((name, Figures::of(readers, run.time)));
        });
    }
    let mut table = Table::new("its readers".to_owned(), None);
    beside.into_iter().for_each(|(name, figures)| table.row(name, figures));
}

/// How the readers read.
type Reader = fn(&Path) -> Work;

/// One updates the metadata, the readers read it. The figures are the writer's.
pub fn loading(run: &Run) {
    let title = "durable beside readers";
    let mut table = Table::new(title.to_owned(), None);
    let rows: [(&str, usize, Reader); 3] = [
        ("nobody reads", 0, load),
        ("4 load", READERS, load),
        ("4 flock, read and parse", READERS, read_by_hand),
    ];
    for (name, readers, reader) in rows {
        run.cell(title, name, |dir| {
            crowd::write(dir);
            let open = |number| if number == 0 { writer(dir) } else { reader(dir) };
            let tallies = pack::run(1 + readers, run.time, open);
            table.row(name, Figures::of(&tallies[..1], run.time));
        });
    }
}

fn writer(dir: &Path) -> Work {
    let agent = ours::open(dir).agent(&crowd::id(0)).expect("the agent is free");
    timed(move || ours::change(&agent, |part| crowd::count(part.as_mut().expect("the agent has a part"))))
}

fn load(dir: &Path) -> Work {
    let store = ours::open(dir);
    timed(move || drop(store.load().expect("a load")))
}

fn read_by_hand(dir: &Path) -> Work {
    let mut locked = locks::bare(dir, Mode::Shared);
    let path = dir.join(METADATA_FILE);
    timed(move || {
        locked(&mut || {
            let bytes = std::fs::read(&path).expect("the file can be read");
            serde_json::from_slice::<Metadata>(&bytes).expect("JSON");
        });
    })
}
