//! Sockets to the kernel (netlink). What only asks the kernel is nobody's business; all else may change what other processes see, or
//! come from them.

use super::sockets::TYPE;
use super::undecided::Early;
use super::{Action, Decision, Decoder};
use crate::tracer::files::What;

/// More bytes than this are not looked through.
const MOST_BYTES: usize = 1 << 16;
/// Messages with a smaller type do nothing.
const FIRST_TYPE: u16 = 16;
const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;
/// The bits of a type of rtnetlink that say what is done, and those of a question.
const DEED: u16 = 3;
const ASKS: u16 = 2;

impl Decoder<'_> {
    /// A new socket: it is known from here on, so that what is sent through it is looked at. By `NETLINK_USERSOCK` processes talk to
    /// each other.
    pub(super) fn open_netlink(&mut self, kind: i32, protocol: i32) -> Decision {
        if protocol == libc::NETLINK_USERSOCK {
            self.note_netlink();
        }
        // The flags are those of `open`.
        Decision::Watch(Action::OpenNetlink { protocol, flags: kind & !TYPE | libc::O_RDWR })
    }

    /// `bind`: to groups, in which others send; or to a number, which nobody else can have then.
    pub(super) fn bind_netlink(&self, port: u32, groups: u32) -> Option<Decision> {
        let seen = |changes| match groups {
            0 => self.over_network().if_met(format!("netlink port {port}"), changes),
            _ => self.over_network(),
        };
        let failed = if groups == 0 { vec![seen(false)] } else { Vec::new() };
        (port != 0 || groups != 0).then(|| Decision::Watch(Action::Note { done: vec![seen(true)], failed }))
    }

    /// What goes to other processes, by their number or their groups.
    pub(super) fn meets_by_netlink(&self) -> Decision {
        Decision::Watch(Action::Note { done: vec![self.over_network()], failed: Vec::new() })
    }

    /// What is sent in these parts, if this descriptor is of such a socket.
    pub(super) fn note_sent_to_kernel(&mut self, number: i32, parts: &[(u64, usize)]) -> Result<(), Early> {
        let protocol = match self.caller.descriptors.borrow().get(number).map(|of| &of.what) {
            Some(What::Netlink(protocol)) => *protocol,
            _ => return Ok(()),
        };
        let mut sent = Vec::new();
        for (address, length) in parts.iter().filter(|(_, length)| *length > 0) {
            if sent.len().saturating_add(*length) > MOST_BYTES {
                self.note_netlink();
                return Ok(());
            }
            sent.extend(self.bytes(*address, *length)?);
        }
        if !only_asks(protocol, &sent) {
            self.note_netlink();
        }
        Ok(())
    }

    pub(super) fn note_netlink(&mut self) {
        let what = self.over_network();
        self.world.sight(what);
    }
}

/// Whether messages only ask the kernel: of its network and of its families of messages. Those of other protocols are not told apart.
fn only_asks(protocol: i32, mut sent: &[u8]) -> bool {
    if !matches!(protocol, libc::NETLINK_ROUTE | libc::NETLINK_GENERIC) {
        return sent.is_empty();
    }
    while let Some(head) = sent.first_chunk::<16>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (kind, flags) = (u16::from_le_bytes([head[4], head[5]]), u16::from_le_bytes([head[6], head[7]]));
        // The kernel looks no further.
        if length < 16 || length > sent.len() {
            return true;
        }
        let asks = match protocol {
            libc::NETLINK_ROUTE => kind & DEED == ASKS,
            _ => flags & DUMP == DUMP,
        };
        if flags & REQUEST != 0 && kind >= FIRST_TYPE && !asks {
            return false;
        }
        sent = sent.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::only_asks;

    /// A message of this type, with these flags.
    fn message(kind: u16, flags: i32) -> Vec<u8> {
        let head = [&20u32.to_le_bytes()[..], &kind.to_le_bytes(), &(flags as u16).to_le_bytes()].concat();
        [head, vec![0; 12]].concat()
    }

    #[test]
    fn only_questions_to_the_kernel_are_nobody_elses_business() {
        let request = libc::NLM_F_REQUEST;
        for (protocol, kind, flags, asks) in [
            (libc::NETLINK_ROUTE, libc::RTM_GETADDR, request | libc::NLM_F_DUMP, true),
            (libc::NETLINK_ROUTE, libc::RTM_GETLINK, request, true),
            (libc::NETLINK_ROUTE, libc::RTM_NEWADDR, request, false),
            // The flags of a dump are other flags of what makes something.
            (
                libc::NETLINK_ROUTE,
                libc::RTM_NEWROUTE,
                request | libc::NLM_F_REPLACE | libc::NLM_F_EXCL,
                false,
            ),
            (libc::NETLINK_ROUTE, libc::RTM_DELLINK, request, false),
            (libc::NETLINK_GENERIC, 16, request | libc::NLM_F_DUMP, true),
            (libc::NETLINK_GENERIC, 16, request, false),
            (libc::NETLINK_SOCK_DIAG, 20, request | libc::NLM_F_DUMP, false),
            (libc::NETLINK_USERSOCK, 18, request, false),
        ] {
            assert_eq!(only_asks(protocol, &message(kind, flags)), asks, "{protocol} {kind} {flags:#x}");
        }
        let two = [message(libc::RTM_GETADDR, request), message(libc::RTM_NEWADDR, request)].concat();
        assert!(!only_asks(libc::NETLINK_ROUTE, &two));
        assert!(only_asks(libc::NETLINK_ROUTE, &two[..20]));
        assert!(only_asks(libc::NETLINK_ROUTE, &[]));
        assert!(only_asks(libc::NETLINK_ROUTE, &[255; 64]));
    }
}
