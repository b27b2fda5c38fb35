//! The `/proc` that processes under test see, and what the numbers in it stand for.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Pid;

use super::ids::place_of;
use super::paths::proc_link;

/// What processes see at `/proc`.
#[derive(Debug)]
pub struct Proc {
    /// Whether it is of their own namespace, not the machine's.
    is_own: bool,
    /// The first process of that namespace, in the ids of the controller.
    init: Pid,
}

impl Proc {
    /// What the processes below `init` see. It must have set up its namespace.
    ///
    /// # Errors
    /// If `init` is gone.
    pub fn of(init: Pid) -> io::Result<Self> {
        let device = |path: &str| fs::metadata(path).map(|data| data.dev());
        let is_own = device("/proc")? != device(&format!("/proc/{init}/root/proc"))?;
        Ok(Self { is_own, init })
    }

    /// Whether a number is that of a task of the process in this place.
    ///
    /// In the machine's `/proc` the numbers are others: there a process does not find itself by the id that it knows.
    #[must_use]
    pub fn is_of(&self, number: i32, place: usize) -> bool {
        if self.is_own {
            return place_of(number) == Some(place);
        }
        let id = inner_id(number);
        id.and_then(place_of) == Some(place) && namespace(number) == namespace(self.init.as_raw())
    }

    /// Whether a number stands for this task of a process under test.
    #[must_use]
    pub fn is(&self, number: i32, task: Pid) -> bool {
        if self.is_own { inner_id(task.as_raw()) == Some(number) } else { task.as_raw() == number }
    }

    /// The task that a number stands for, in the ids of the controller.
    #[must_use]
    pub fn task(&self, number: i32) -> Option<Pid> {
        if !self.is_own {
            return Some(Pid::from_raw(number));
        }
        let own = namespace(self.init.as_raw())?;
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let tasks = processes
            .flat_map(|process| fs::read_dir(process.path().join("task")).into_iter().flatten().flatten());
        let mut ids = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok());
        let is_it = |id: &i32| inner_id(*id) == Some(number) && namespace(*id).as_ref() == Some(&own);
        ids.find(is_it).map(Pid::from_raw)
    }
}

/// The id of a task in its own namespace.
fn inner_id(task: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{task}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_whitespace().next_back()?.parse().ok()
}

fn namespace(task: i32) -> Option<String> {
    proc_link(&format!("/proc/{task}/ns/pid")).ok()
}
