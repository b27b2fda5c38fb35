//! What goes to addresses that are not in the workspace: over the network, to abstract names, to sockets outside. It is not scheduled.

use super::undecided::Early;
use super::{Action, Decision, Decoder};
use crate::model::{GapKind, Sighting};
use crate::tracer::files::{Description, What};
use crate::tracer::paths::lossy;
use crate::tracer::sys::socket_protocol;

/// The size of `struct sockaddr_storage`, in bytes.
const MOST_ADDRESS: u64 = 128;

/// Where an address leads.
pub(super) enum Address {
    /// To the Unix socket that this path leads to.
    Path(String),
    /// To the Unix socket that has this abstract name.
    Abstract(String),
    /// To a Unix socket, without a name.
    Unnamed,
    /// Elsewhere: to this port, if it has one.
    Network {
        /// Its number.
        port: Option<u16>,
    },
    /// To the kernel, or to who has this number or is in these groups.
    Netlink {
        /// The number; 0 is the kernel's.
        port: u32,
        /// The groups, each a bit.
        groups: u32,
    },
    /// Nowhere.
    Local,
}

impl Address {
    fn of(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_at_checked(2)?;
        let family = i32::from(u16::from_le_bytes([family[0], family[1]]));
        Some(match (family, rest) {
            (libc::AF_UNIX, []) => Self::Unnamed,
            (libc::AF_UNIX, [0, name @ ..]) => Self::Abstract(lossy(name.to_vec())),
            (libc::AF_UNIX, path) => {
                Self::Path(lossy(path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()))
            }
            (libc::AF_INET | libc::AF_INET6, [high, low, ..]) => {
                Self::Network { port: Some(u16::from_be_bytes([*high, *low])) }
            }
            (libc::AF_NETLINK, rest) => {
                let number = |at: usize| {
                    let bytes = rest.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                    bytes.map_or(0, u32::from_le_bytes)
                };
                Self::Netlink { port: number(2), groups: number(6) }
            }
            (libc::AF_UNSPEC, _) => Self::Local,
            _ => Self::Network { port: None },
        })
    }
}

impl Decoder<'_> {
    /// Where the address at an address in memory leads.
    pub(super) fn address(&self, address: u64, length: u64) -> Result<Address, Early> {
        let bytes = self.bytes(address, u64::from(length as u32).min(MOST_ADDRESS) as usize)?;
        Address::of(&bytes).ok_or(Early::refused("an address without a family"))
    }

    /// `connect` or `sendto` by this descriptor, to this port. A socket for datagrams that is connected has sent nothing yet.
    pub(super) fn meets(&self, number: i32, port: Option<u16>) -> Decision {
        let task = self.caller.tracee.id();
        let sends_later = self.name == "connect"
            && socket_protocol(&format!("/proc/{task}/fd/{number}")).is_some_and(|of| of.starts_with("UDP"));
        if sends_later {
            return Decision::Watch(Action::MeetNetwork(number));
        }
        let at = |changes| self.over_network().if_met(key(port), changes);
        Decision::Watch(Action::Note { done: vec![self.over_network(), at(true)], failed: vec![at(false)] })
    }

    /// `bind` to this port. Which one is free, if the kernel is to choose, differs from run to run.
    pub(super) fn takes_port(&self, port: Option<u16>) -> Decision {
        let seen = |changes| match port {
            Some(0) | None => self.over_network(),
            port => self.over_network().if_met(key(port), changes),
        };
        Decision::Watch(Action::Note { done: vec![seen(true)], failed: vec![seen(false)] })
    }

    pub(super) fn over_network(&self) -> Sighting {
        self.sighting(GapKind::Network, format!("the network ({})", self.name))
    }

    /// An abstract name: other processes may use the same.
    pub(super) fn by_abstract_name(&self, name: &str) -> Decision {
        let key = format!("@{}", name.escape_default());
        let seen = |changes| {
            let what = format!("a Unix socket with an abstract name ({})", self.name);
            self.sighting(GapKind::Socket, what).if_met(&key, changes)
        };
        Decision::Watch(Action::Note { done: vec![seen(true)], failed: vec![seen(false)] })
    }

    /// A Unix socket outside: where nobody listens, it has met nobody.
    pub(super) fn elsewhere(&self) -> Decision {
        let what = self.sighting(GapKind::Socket, format!("a Unix socket ({})", self.name));
        Decision::Watch(Action::Note { done: vec![what], failed: Vec::new() })
    }

    /// What is sent unseen through a descriptor that may be of a socket of the network, or to the kernel.
    pub(super) fn note_sent(&mut self, number: i32) {
        let is_one = |of: &Description| matches!(of.what, What::Network | What::Netlink(_));
        if self.caller.descriptors.borrow().get(number).is_some_and(|of| is_one(of)) {
            let what = self.over_network();
            self.world.sight(what);
        }
    }

    /// A message to this address, or to none, through a socket that is not followed.
    pub(super) fn sent_elsewhere(
        &mut self,
        by: Option<&Description>,
        to: Option<(u64, u64)>,
    ) -> Result<Option<Decision>, Early> {
        if by.is_some_and(|of| of.socket().is_some()) {
            return Ok(None);
        }
        if by.is_some_and(|of| matches!(of.what, What::Network)) {
            let what = self.over_network();
            self.world.sight(what);
        }
        let Some((address, length)) = to else { return Ok(None) };
        Ok(match self.address(address, length)? {
            Address::Path(_) | Address::Unnamed => Some(self.elsewhere()),
            Address::Abstract(name) => Some(self.by_abstract_name(&name)),
            Address::Network { port } => Some(self.meets(-1, port)),
            Address::Netlink { port: 0, groups: 0 } | Address::Local => None,
            Address::Netlink { .. } => Some(self.meets_by_netlink()),
        })
    }
}

/// What two uses of a port have in common.
fn key(port: Option<u16>) -> String {
    port.map_or_else(|| "the network".to_owned(), |port| format!("port {port}"))
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_told_by_its_family() {
        let of = |bytes: &[u8]| Address::of(bytes);
        assert!(matches!(of(b"\x01\0name\0rest"), Some(Address::Path(path)) if path == "name"));
        assert!(matches!(of(b"\x01\0\0name"), Some(Address::Abstract(name)) if name == "name"));
        assert!(matches!(of(b"\x01\0"), Some(Address::Unnamed)));
        assert!(matches!(of(b"\x02\0\x1f\x90\x7f\0\0\x01"), Some(Address::Network { port: Some(8080) })));
        assert!(matches!(of(b"\x28\0\x1f\x90"), Some(Address::Network { port: None })));
        assert!(matches!(of(b"\x10\0\0\0"), Some(Address::Netlink { port: 0, groups: 0 })));
        assert!(matches!(
            of(b"\x10\0\0\0\x03\0\0\0\x01\0\0\0"),
            Some(Address::Netlink { port: 3, groups: 1 })
        ));
        assert!(matches!(of(b"\0\0"), Some(Address::Local)));
        assert!(of(b"\x01").is_none());
    }
}
