use serde::{Deserialize, Serialize};

/// Why an exploration ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every interleaving was tried.
    Everything,
    /// The anomaly that was found was enough.
    Anomaly,
    /// Every interleaving that a bound of preemptions allows was tried.
    Preemptions,
    /// The search had as many executions as it may have.
    MaxExecutions,
    /// The time limit came.
    TimeLimit,
    /// The search came to its end, but some executions were cut because they had as many steps as one may have.
    MaxSteps,
    /// A task used as much processor time between two calls as it may use.
    CpuLimit,
    /// The user, or the system, ended it by a signal.
    Interrupted,
    /// An error ended it: an execution that did not repeat, or a system call that is not known.
    Error,
}

impl End {
    /// Every end there is.
    pub const ALL: [Self; 9] = [
        Self::Everything,
        Self::Anomaly,
        Self::Preemptions,
        Self::MaxExecutions,
        Self::TimeLimit,
        Self::MaxSteps,
        Self::CpuLimit,
        Self::Interrupted,
        Self::Error,
    ];

    /// Its name in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Anomaly => "anomaly",
            Self::Preemptions => "preemptions",
            Self::MaxExecutions => "max-executions",
            Self::TimeLimit => "time-limit",
            Self::MaxSteps => "max-steps",
            Self::CpuLimit => "cpu-limit",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
        }
    }

    /// Why the search ended, in a sentence without a stop at its end.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Everything => "every interleaving was tried",
            Self::Anomaly => "the search stopped at the first anomaly",
            Self::Preemptions => "only interleavings within --preemptions were tried",
            Self::MaxExecutions => "the search stopped at --max-executions",
            Self::TimeLimit => "the search stopped at --time-limit",
            Self::MaxSteps => "some executions were cut at --max-steps",
            Self::CpuLimit => "a process computed for longer than --cpu-limit without a system call",
            Self::Interrupted => "the search was interrupted",
            Self::Error => "an error ended the search",
        }
    }

    /// What the user can do about it, if anything.
    #[must_use]
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Everything | Self::Anomaly | Self::Interrupted | Self::Error => None,
            Self::Preemptions => Some("Raise --preemptions, or leave it out."),
            Self::MaxExecutions => Some("Raise --max-executions, or leave it out."),
            Self::TimeLimit => Some("Raise --time-limit, or explore in shards (--shard)."),
            Self::MaxSteps => Some("Raise --max-steps if the program ends by itself."),
            Self::CpuLimit => Some("Raise --cpu-limit if the program ends by itself."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::End;

    #[test]
    fn each_end_is_its_word_in_json() {
        for end in End::ALL {
            assert_eq!(serde_json::to_value(end).expect("a word"), end.word());
        }
    }
}
