//! Coverage gaps: what the processes may share that was not scheduled, or could not be decided.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProcessId;

macro_rules! kinds {
    ($($variant:ident $name:literal $hides:literal $remedy:literal)*) => {
        /// What kind of coverage gap something is. The README's table of gaps is made from these rows.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum GapKind {
            $(#[doc = $hides] $variant,)*
        }

        impl GapKind {
            /// Every kind, in the order of the README's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in options, scenarios and JSON.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What a gap of this kind can hide, in a sentence.
            #[must_use]
            pub fn hides(self) -> &'static str {
                match self { $(Self::$variant => $hides,)* }
            }

            /// What the user can do about it, in a sentence.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

kinds! {
    OutsideWrite "outside-write"
        "Two processes change the same file outside the workspace; the order of their changes is not explored."
        "Put the file into --dir, or explore it with --root overlay (which does not watch /usr, /bin, /lib and their like)."
    OutsideRead "outside-read"
        "One process changes what another one reads outside the workspace; the order of the two is not explored."
        "Put the file into --dir, or explore it with --root overlay (which does not watch /usr, /bin, /lib and their like)."
    PersistentEffect "persistent-effect"
        "A change outside the workspace stays for the next execution, so later executions do something else than the first."
        "Explore it with --root overlay, which undoes such changes."
    Network "network"
        "The processes may meet over the network; the order of what they send and receive is not explored."
        "Use a Unix socket in the workspace, or accept the gap if the network carries nothing that the processes share."
    SharedMemory "shared-memory"
        "The processes share memory; the order of their reads and writes of it is not explored."
        "Let them share the data by read and write of a file in --dir, or accept the gap."
    KernelObject "kernel-object"
        "The processes use the same System V or POSIX object, or keyring; the order of these uses is not explored."
        "Use a file lock, a FIFO or a Unix socket in the workspace."
    Descriptor "descriptor"
        "A descriptor is used or passed in a way that cooks does not follow; what is done by it is not explored."
        "Let the other process open the file by its path."
    Pipe "pipe"
        "A FIFO is used in a way that cooks does not follow; the order of some reads and writes is not explored."
        "Use read and write with the usual size of a FIFO."
    Socket "socket"
        "A Unix socket is used in a way that cooks does not follow; the order of some messages is not explored."
        "Use a named stream or datagram socket in the workspace with its usual options."
    RecordLock "record-lock"
        "A process waits for a record lock, and cooks cannot tell whether the kernel would find a cycle of waits and refuse one (EDEADLK)."
        "Take all record locks of a process in one thread, and wait only for locks that one process holds alone."
    FileWatch "file-watch"
        "A process watches files (inotify, leases); cooks does not explore the moments at which the kernel reports a change."
        "Let the process poll the file."
    OtherProcess "other-process"
        "A process reads the state or memory of another one; when it does so is not explored."
        "Ask by kill -0, or let the other process write its state to a file."
    Signal "signal"
        "A signal meets a process in a state that cooks does not follow; some moments of its arrival are not explored."
        "Accept the gap, or end the process in another way."
    UncontrolledTime "uncontrolled-time"
        "A timer counts processor time, which differs from run to run; or a program decides by which of many files was changed last, and not every order of these changes is explored."
        "Use a timer of real time: that one is virtual here. Use fewer files, or decide by what they hold."
    ProcessIds "process-ids"
        "The ids of children could not be fixed, so they may differ from run to run."
        "Run as root, or let /proc/sys/kernel/ns_last_pid be written."
    UnreadableArgument "unreadable-argument"
        "cooks could not read an argument of a system call that the kernel could; what the call did is not known."
        "Report it with the witness: this should not happen."
    UnknownCall "unknown-call"
        "A process made a system call, or used a flag, that this version does not know; what it did is not known."
        "Let the program do without it, or use a newer cooks."
    UnresolvedIdentity "unresolved-identity"
        "cooks could not tell which file a system call was about."
        "Let the program use a path that exists while it is used."
    BoundedSerialOrders "bounded-serial-orders"
        "Not every serial order was run, so a loss that needs no overlap of two units may be missed."
        "Use fewer processes or units."
    ThreadOrder "thread-order"
        "The threads and children of one process came in one order; other orders of them may race."
        "Explore them with --threads explore."
    MemoryOrder "memory-order"
        "What threads of one process do to each other in memory came in one order."
        "Use loom or ThreadSanitizer for what threads share in memory."
    Overlay "overlay"
        "The overlay differs from a plain file system in what a process did."
        "Explore it without --root overlay, on files in --dir."
    InitialTree "initial-tree"
        "A process looked at a file of the initial workspace that could not be laid out as it is: one of another owner or with an attribute, a socket, a device."
        "Leave the file out of --dir; if only its owner is wrong, run as root."
    Output "output"
        "A process printed more than cooks keeps; what comes behind that is not compared."
        "Let the process print less, or redirect its output into a file of the workspace."
}

impl GapKind {
    /// Kinds that are limits of the claim itself: they stand in the verdict's line, and forbid nothing.
    pub const LIMITS: [Self; 2] = [Self::ThreadOrder, Self::MemoryOrder];
}

impl fmt::Display for GapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for GapKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
            format!("`{name}` is no kind of gap; there are: {known}")
        })
    }
}

/// Whether something that is not scheduled can hide a race.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It can, whatever the other processes do.
    Always,
    /// It can if another process uses the same thing, and one of the two changes it.
    IfMet {
        /// What is used: equal for two uses of the same thing.
        key: String,
        /// Whether this use changes it.
        changes: bool,
    },
    /// It cannot: it is listed only.
    Never,
}

/// Something that one process did and that was not scheduled, or could not be decided. Sightings of all runs are joined to [`Gap`]s.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Sighting {
    /// Its kind.
    pub kind: GapKind,
    /// Which process did it.
    pub process: ProcessId,
    /// Which file it is about, if it is about one: relative to the workspace, absolute outside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it is, in a few words: `connect`, `writes through a shared mapping`.
    pub detail: String,
    /// Whether it can hide a race.
    pub reach: Reach,
}

impl Sighting {
    /// Something that can hide a race, whatever the other processes do.
    #[must_use]
    pub fn new(kind: GapKind, process: ProcessId, detail: impl Into<String>) -> Self {
        Self { kind, process, path: None, detail: detail.into(), reach: Reach::Always }
    }

    /// The same about this file.
    #[must_use]
    pub fn about(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// The same, if it hides a race only if another process uses what has this key.
    #[must_use]
    pub fn if_met(self, key: impl Into<String>, changes: bool) -> Self {
        Self { reach: Reach::IfMet { key: key.into(), changes }, ..self }
    }

    /// The same, if it is listed only.
    #[must_use]
    pub fn harmless(self) -> Self {
        Self { reach: Reach::Never, ..self }
    }

    /// Whether it may hide a race.
    #[must_use]
    pub fn may_hide(&self) -> bool {
        self.reach != Reach::Never
    }
}

/// A sighting as it is said in a list: what it is, and which file it is about.
#[must_use]
pub fn sentence(sighting: &Sighting) -> String {
    match &sighting.path {
        Some(path) => format!("{}: {path}", sighting.detail),
        None => sighting.detail.clone(),
    }
}

/// A coverage gap: what two processes may share that was not scheduled, or could not be decided.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// Its kind.
    pub kind: GapKind,
    /// The processes concerned, sorted.
    pub processes: Vec<ProcessId>,
    /// The files concerned, sorted: relative to the workspace, absolute outside it.
    pub paths: Vec<String>,
    /// What it is, in a sentence or a few words.
    pub detail: String,
    /// Whether it can hide a race.
    pub hides_races: bool,
    /// Whether the user accepted it.
    #[serde(default)]
    pub accepted: bool,
}

#[cfg(test)]
mod tests {
    use super::GapKind;

    #[test]
    fn each_kind_has_a_name_that_is_read_back_and_is_its_name_in_json() {
        for kind in GapKind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.name());
            assert!(kind.hides().ends_with('.') && kind.remedy().ends_with('.'));
        }
        assert!("outside".parse::<GapKind>().unwrap_err().contains("outside-write"));
    }
}
