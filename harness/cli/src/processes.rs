//! The processes on the command line: what stands after a `-p` is of that process.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

const PROCESS: &str = "process";
const THEN: &str = "then";
const INPUT: &str = "input";
const MAY_FAIL: &str = "may-fail";

/// A process, as it was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its command.
    pub command: String,
    /// Its further commands.
    pub then: Vec<String>,
    /// The file that it is asked from.
    pub input: Option<PathBuf>,
    /// Whether it need not succeed in any serial order.
    pub may_fail: bool,
}

/// All of them, in their order.
#[derive(Clone, Debug, Default)]
pub struct Processes(pub Vec<Given>);

/// The values of an option, with where they stand.
fn placed<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Vec<(usize, T)> {
    let values = matches.get_many::<T>(id).into_iter().flatten().cloned();
    matches.indices_of(id).into_iter().flatten().zip(values).collect()
}

impl FromArgMatches for Processes {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let commands = placed::<String>(matches, PROCESS);
        let given = |(_, command): &(usize, String)| Given {
            command: command.clone(),
            then: Vec::new(),
            input: None,
            may_fail: false,
        };
        let mut processes: Vec<Given> = commands.iter().map(given).collect();
        let refuse = |message: String| Error::raw(ErrorKind::ArgumentConflict, message + "\n");
        let owner = |place: usize, option: &str| {
            let before = commands.iter().rposition(|(at, _)| *at < place);
            before.ok_or_else(|| refuse(format!("--{option} is of the -p before it, and there is none")))
        };
        for (place, command) in placed::<String>(matches, THEN) {
            processes[owner(place, THEN)?].then.push(command);
        }
        for (place, file) in placed::<PathBuf>(matches, INPUT) {
            let process = &mut processes[owner(place, INPUT)?];
            if process.input.replace(file).is_some() {
                return Err(refuse(format!("two --input for one process: `{}` has one", process.command)));
            }
        }
        for (place, _) in placed::<bool>(matches, MAY_FAIL) {
            processes[owner(place, MAY_FAIL)?].may_fail = true;
        }
        if let Some(both) =
            processes.iter().find(|process| process.input.is_some() && !process.then.is_empty())
        {
            return Err(refuse(format!(
                "--then and --input for one process: `{}` is several commands, or one that is asked",
                both.command
            )));
        }
        Ok(Self(processes))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Processes {
    fn augment_args(command: Command) -> Command {
        let many = |id: &'static str, name: &'static str| {
            Arg::new(id).long(id).value_name(name).action(ArgAction::Append)
        };
        command
            .arg(many(PROCESS, "CMD").short('p').help(
                "A process: a command, run directly where it is plain words, by `sh -c` where it needs a shell; give it at least twice",
            ))
            .arg(many(THEN, "CMD").help(
                "After a -p: a further unit of that process, run when the one before it has ended, however it did; repeatable",
            ))
            .arg(many(INPUT, "FILE").value_parser(value_parser!(PathBuf)).help(
                "After a -p: its standard input, given line by line, the next line when it waits for one; each line is a unit",
            ))
            .arg(
                Arg::new(MAY_FAIL)
                    .long(MAY_FAIL)
                    .action(ArgAction::Append)
                    .num_args(0)
                    .default_missing_value("true")
                    .value_parser(value_parser!(bool))
                    .help("After a -p: that process need not succeed in any serial order"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
