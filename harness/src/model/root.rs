use serde::{Deserialize, Serialize};

/// What processes have as the root of the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Root {
    /// The machine's own: what is written outside of the workspace is really written.
    #[default]
    Host,
    /// An overlay of it, fresh in each execution: the machine's files stay as they are, and those outside of the workspace are
    /// watched as well.
    Overlay,
}
