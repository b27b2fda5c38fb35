//! The start of a process under test: what it is given, from the fork to its program.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::sys::resource::Resource;
use nix::unistd::Pid;

use super::free::MOST_WRITTEN;
use super::program::Program;
use super::sandbox::WORKSPACE;
use super::{filter, sys};

/// The variables that processes inherit; all others are left out, so that an execution does not depend on the terminal, the
/// session or the time of day.
const INHERITED: [&str; 6] = ["HOME", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "USER", "VIRTUAL_ENV"];
/// The variables that are the same everywhere.
const FIXED: [&str; 5] = [
    "DIR=/dev/shm/workspace",
    "LANG=C.UTF-8",
    "PWD=/dev/shm/workspace",
    "PYTHONDONTWRITEBYTECODE=1",
    "TZ=UTC",
];

/// What the zygote and its children need of each part of each program.
pub struct Prepared {
    /// What it runs.
    pub program: Program,
    /// As the kernel wants it.
    pub words: Vec<CString>,
    /// Its standard output.
    pub out: OwnedFd,
    /// Its standard error.
    pub err: OwnedFd,
    /// The pipe that its standard input is, where it is asked.
    pub input: Option<OwnedFd>,
}

/// The environment of every process: `NAME=value`, sorted.
#[must_use]
pub fn environment() -> Vec<CString> {
    let inherited = INHERITED.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    });
    let fixed = FIXED.iter().filter_map(|text| CString::new(*text).ok());
    let mut all: Vec<CString> = inherited.chain(fixed).collect();
    all.sort();
    all
}

/// Status of a process that did not come to run its program.
const NOT_RUN: i32 = 126;

/// Whether somebody holds a process.
#[derive(Clone, Copy, Debug)]
pub enum Control<'a> {
    /// It is traced.
    Traced,
    /// It runs free, with this as its standard input, where it is asked.
    Free(Option<BorrowedFd<'a>>),
}

/// The start of a process under test: from the fork to its program.
pub fn begin(prepared: &Prepared, environment: &[CString], control: Control<'_>) -> i32 {
    match set_up(prepared, control) {
        Ok(()) => {}
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            return NOT_RUN;
        }
    }
    match &prepared.program {
        Program::Command(words) => {
            let error = sys::exec(&prepared.words, environment);
            let _ = writeln!(io::stderr(), "cooks: cannot run {}: {error}", words[0]);
            127
        }
        Program::Closure { body, .. } => {
            let body = std::panic::AssertUnwindSafe(|| body());
            let status = std::panic::catch_unwind(body).unwrap_or(101);
            let _ = io::stdout().flush();
            status
        }
        // Parts are neither.
        Program::Sequence(_) | Program::Asked { .. } => NOT_RUN,
    }
}

/// Standard streams, signals, addresses; then, of one that is traced, the filter, from which on its calls stop: the first one is where
/// templates are held.
fn set_up(prepared: &Prepared, control: Control<'_>) -> io::Result<()> {
    let input = match (control, &prepared.input) {
        (Control::Free(Some(pipe)), _) => pipe.try_clone_to_owned()?.into(),
        (Control::Traced, Some(pipe)) => pipe.try_clone()?.into(),
        _ => File::open("/dev/null")?,
    };
    sys::place_descriptor(input.as_fd(), 0)?;
    sys::place_descriptor(prepared.out.as_fd(), 1)?;
    sys::place_descriptor(prepared.err.as_fd(), 2)?;
    drop(input);
    sys::let_children_be_reaped(false)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::sys::resource::setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let traced = matches!(control, Control::Traced);
    match prepared.program {
        Program::Command(_) => {
            sys::reset_signals();
            sys::close_on_exec_from(3)?;
            if traced {
                let persona = nix::sys::personality::get()?;
                nix::sys::personality::set(persona | nix::sys::personality::Persona::ADDR_NO_RANDOMIZE)?;
            }
        }
        _ => {
            sys::close_from(3)?;
            if traced {
                sys::silence_vdso()?;
            }
        }
    }
    if traced {
        sys::install_filter(&filter::program())?;
    } else {
        nix::sys::prctl::set_no_new_privs()?;
        nix::sys::resource::setrlimit(Resource::RLIMIT_FSIZE, MOST_WRITTEN, MOST_WRITTEN)?;
    }
    nix::unistd::chdir(WORKSPACE)?;
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(Into::into)
}
