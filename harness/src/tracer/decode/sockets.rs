//! Calls that make, name, connect and shut sockets. Unix sockets with a name in the workspace are followed, all others are not.

use std::rc::Rc;

use super::names::name_changes;
use super::network::Address;
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder};
use crate::model::{Access, GapKind, Location, ObjectId, Way};
use crate::tracer::files::Description;
use crate::tracer::input::is_nonblocking;
use crate::tracer::paths::{Place, Resolved, Spot};
use crate::tracer::sockets::{Kind, Peer, Socket, Stage};
use crate::tracer::streams::{End, Streams};

/// An address of none, or of the kernel.
const TO_THE_KERNEL: Early = Early::Local("the address is of none, or of the kernel");

/// The bits of a socket's type that are not flags.
pub(super) const TYPE: i32 = 0xf;

impl Decoder<'_> {
    /// A new socket: a Unix socket is known from the beginning, as it may be copied before it has a name. It touches
    /// nothing, but with a socket open a process can no longer be a checkpoint: so it is held before. Not where it does not block from
    /// the beginning, as that with which a C library asks for users' names (nscd): most programs do, and a signal may come at each
    /// operation.
    pub(super) fn socket(&mut self, family: i32, kind: i32, protocol: i32) -> Meant {
        if family == libc::AF_NETLINK {
            return Ok(self.open_netlink(kind, protocol));
        }
        if family != libc::AF_UNIX {
            return Err(Early::Local("a socket of the network counts when it is connected"));
        }
        let what = match kind & TYPE {
            libc::SOCK_STREAM => Kind::Bytes,
            libc::SOCK_SEQPACKET => Kind::Packets,
            libc::SOCK_DGRAM | libc::SOCK_RAW => Kind::Datagrams,
            _ => return Err(Early::refused("a Unix socket of an unknown kind")),
        };
        // The flags are those of `open`.
        let action = Action::OpenSocket { kind: what, flags: kind & !TYPE | libc::O_RDWR };
        Ok(if kind & libc::SOCK_NONBLOCK == 0 {
            self.hold(None, "of this machine".into(), Vec::new(), action)
        } else {
            Decision::Watch(action)
        })
    }

    /// `bind`: gives a socket a name.
    pub(super) fn bind(&mut self, number: i32, address: u64, length: u64) -> Meant {
        let path = match self.address(address, length)? {
            Address::Path(path) => path,
            Address::Abstract(name) => return Ok(self.by_abstract_name(&name)),
            Address::Unnamed => return Ok(self.elsewhere()),
            Address::Network { port } => return Ok(self.takes_port(port)),
            Address::Netlink { port, groups } => {
                return self.bind_netlink(port, groups).ok_or(TO_THE_KERNEL);
            }
            Address::Local => return Err(TO_THE_KERNEL),
        };
        let resolved = self.follow(libc::AT_FDCWD, &path, false, false)?;
        if !leads_inside(&resolved) {
            return Ok(self.elsewhere());
        }
        let Some(description) = self.unconnected(number) else { return self.not_followed() };
        let Place::Inside(spot) = &resolved.place else { return self.not_followed() };
        if spot.path.starts_with('/') {
            return self.not_followed();
        }
        if description.socket().is_some_and(|socket| socket.cost.get() > 0) {
            // Who takes what was sent is told the name that its sender has then.
            self.note(GapKind::Socket, "the name that a Unix socket is given when it has sent datagrams");
        }
        let (more, action) = match spot.found {
            Some(_) => (Vec::new(), Action::None),
            None => (name_changes(spot), Action::Bind { description, path: spot.path.clone() }),
        };
        Ok(self.on_path(resolved, "", more, action))
    }

    /// `listen`: from here on others can connect to a socket that has a name.
    pub(super) fn listen(&mut self, number: i32) -> Meant {
        let description = self.known(number)?;
        let stage = description.socket().map(|socket| socket.stage.get());
        let Some(Stage::Named(object)) = stage else { return Err(Early::NO_END) };
        let ends = Location::Ends { object, way: Way::Back };
        let (accesses, adds) = (vec![Access::join(ends.clone())], vec![(ends, 1)]);
        let path = description.path().to_owned();
        let mut decision =
            self.hold(Some(path), String::new(), accesses, Action::Listen { description, object });
        if let Decision::Hold(held) = &mut decision {
            held.operation.adds = adds;
        }
        Ok(decision)
    }

    /// `connect`. A Unix socket that goes to an address outside where nobody listens has met nobody: it is noted where it succeeds.
    pub(super) fn connect(&mut self, number: i32, address: u64, length: u64) -> Meant {
        let description = self.caller.descriptors.borrow().get(number).cloned();
        if self.is_no_address(address)
            && let Some(description) = &description
            && description.is_for_datagrams()
        {
            return self.meet(description, (None, Vec::new()), None);
        }
        let resolved = match self.addressed(number, address, length)? {
            Addressed::Inside(resolved) => resolved,
            Addressed::Elsewhere(decision) => {
                if description.is_some_and(|description| description.peer().is_some()) {
                    self.note(GapKind::Socket, "a Unix socket that is connected anew");
                }
                return Ok(decision);
            }
        };
        let Some(description) = self.unconnected(number) else { return self.not_followed() };
        let Some((to, path)) = socket_at(&resolved) else {
            return Ok(self.on_path(resolved, "", Vec::new(), Action::None));
        };
        if description.is_for_datagrams() {
            self.note_wrong_kind(to);
            let open = Location::Ends { object: to, way: Way::Back };
            let looks = vec![Access::read(open), Access::read(Streams::senders(to))];
            return self.meet(&description, (Some(Peer { object: to, path }), looks), Some(resolved));
        }
        let own = description.socket().map(|own| own.kind);
        if own.is_some_and(|own| self.world.streams.is_for_connections_of_another_kind(to, own)) {
            // What the kernel says depends on whether somebody has it open, also if it takes no connections yet.
            self.note(GapKind::Socket, "a connection to a Unix socket of another kind");
        }
        if own.is_some_and(|own| !self.world.streams.takes_connections(to, own)) {
            let open = Access::read(Location::Ends { object: to, way: Way::Back });
            let decision = self.on_path(resolved, "", vec![open], Action::None);
            return Ok(self.refused(decision, Some("a connection to a socket that takes none")));
        }
        let more = self.world.streams.sending(End::Listener(to), 1);
        Ok(self.on_path(resolved, "", more, Action::Connect { description, to, path }))
    }

    /// Datagrams to a socket that takes none: what the kernel says depends on whether somebody has it open.
    pub(super) fn note_wrong_kind(&mut self, to: ObjectId) {
        if self.world.streams.takes_no_datagrams(to) {
            self.note(GapKind::Socket, "datagrams to a Unix socket that takes none");
        }
    }

    /// A socket for datagrams is connected, or is so no longer: where it has a name, only the one that it is connected to can send to it.
    fn meet(
        &mut self,
        description: &Rc<Description>,
        (peer, mut accesses): (Option<Peer>, Vec<Access>),
        resolved: Option<Resolved>,
    ) -> Meant {
        let socket = description.socket().ok_or(Early::NO_END)?;
        if let Some(own) = socket.mailbox() {
            accesses.push(Access::write(Streams::senders(own)));
        }
        let action = Action::Meet { description: Rc::clone(description), peer };
        Ok(match resolved {
            Some(resolved) => self.on_path(resolved, "", accesses, action),
            None if accesses.is_empty() => Decision::Watch(action),
            None => self.hold(Some(description.path().to_owned()), "to nobody".into(), accesses, action),
        })
    }

    /// `accept`: waits for a connection, and takes it.
    pub(super) fn accept(&mut self, number: i32, flags: i32) -> Meant {
        let description = self.known(number)?;
        let Some(end @ End::Listener(from)) = description.end() else { return Err(Early::NO_END) };
        let socket = description.socket().filter(|socket| socket.kind != Kind::Datagrams);
        let socket = socket.ok_or(Early::refused("a connection at a socket for datagrams"))?;
        let (accesses, needs) = self.world.streams.receiving(end, 1, false);
        let path = description.path().to_owned();
        let action =
            Action::Accept { from, kind: socket.kind, path: path.clone(), flags: flags | libc::O_RDWR };
        let mut decision = self.hold(Some(path), String::new(), accesses, action);
        if let Decision::Hold(held) = &mut decision
            && !is_nonblocking(self.caller.tracee, number)
            && !socket.is_shut()
        {
            held.operation.needs = needs;
        }
        Ok(decision)
    }

    /// `shutdown`: of what is sent, the other end sees the end; what is read waits for nothing any more.
    pub(super) fn shut(&mut self, number: i32, how: i32) -> Meant {
        let description = self.known(number)?;
        let socket = description.socket().ok_or(Early::NO_END)?;
        let Some(end) = description.end() else {
            if description.is_for_datagrams() {
                self.note(GapKind::Socket, "a Unix socket that is shut before it has a name");
            }
            return Err(Early::NO_END);
        };
        // What has a name stays open until it is closed, however it is shut: nothing that it sends comes through there.
        let (reading, writing) =
            (how != libc::SHUT_WR, how != libc::SHUT_RD && !matches!(end, End::Listener(_)));
        let mut accesses = Vec::new();
        if writing {
            accesses.extend(self.world.streams.closing_of(&description));
        }
        if reading {
            accesses.push(Access::write(match socket.mailbox() {
                Some(own) => Streams::senders(own),
                None => end.stream(false),
            }));
        }
        let detail = match (reading, writing) {
            (true, true) => "both ways",
            (true, false) => "for reading",
            _ => "for writing",
        };
        let path = description.path().to_owned();
        let action = Action::Shut { description, reading, writing };
        Ok(self.hold(Some(path), detail.into(), accesses, action))
    }

    /// `getsockopt`: whether something went wrong with a socket, as when its other end is closed.
    pub(super) fn option(&mut self, number: i32, level: i32, option: i32) -> Meant {
        if (level, option) != (libc::SOL_SOCKET, libc::SO_ERROR) {
            return Err(Early::Local("it concerns the socket alone"));
        }
        let description = self.known(number)?;
        let end = description.socket().and_then(Socket::end);
        let Some(end @ End::Connection(..)) = end else { return Err(Early::NO_END) };
        let path = description.path().to_owned();
        Ok(self.hold(Some(path), "for an error".into(), self.world.streams.looking(end), Action::None))
    }

    /// `setsockopt`: a timeout of a socket is not followed, nor is a size.
    pub(super) fn set_option(&mut self, number: i32, level: i32, option: i32) -> Meant {
        if (level, option) == (libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP) {
            self.note_netlink();
        }
        let is_socket = self.known(number)?.socket().is_some();
        if !is_socket || level != libc::SOL_SOCKET {
            return Err(Early::Local("it concerns the socket alone"));
        }
        match option {
            libc::SO_RCVTIMEO | libc::SO_SNDTIMEO => {
                self.note(GapKind::Socket, "a timeout of a Unix socket (SO_RCVTIMEO, SO_SNDTIMEO)");
            }
            libc::SO_SNDBUF | libc::SO_SNDBUFFORCE => {
                self.note(GapKind::Socket, "a size of a Unix socket that is set (SO_SNDBUF)");
            }
            _ => {}
        }
        Ok(Decision::Pass)
    }

    /// Where the address of a socket leads, of one that this descriptor is of.
    pub(super) fn addressed(&mut self, number: i32, address: u64, length: u64) -> Result<Addressed, Early> {
        let path = match self.address(address, length)? {
            Address::Path(path) => path,
            Address::Abstract(name) => return Ok(Addressed::Elsewhere(self.by_abstract_name(&name))),
            Address::Unnamed => return Ok(Addressed::Elsewhere(self.elsewhere())),
            Address::Network { port } => return Ok(Addressed::Elsewhere(self.meets(number, port))),
            Address::Netlink { port: 0, groups: 0 } => return Err(TO_THE_KERNEL),
            Address::Netlink { .. } => return Ok(Addressed::Elsewhere(self.meets_by_netlink())),
            Address::Local => return Err(TO_THE_KERNEL),
        };
        let mut resolved = self.follow(libc::AT_FDCWD, &path, true, false)?;
        if !leads_inside(&resolved) {
            return Ok(Addressed::Elsewhere(self.elsewhere()));
        }
        if matches!(&resolved.place, Place::Inside(spot) if spot.path.starts_with('/')) {
            return self.not_followed().map(Addressed::Elsewhere);
        }
        // The kernel looks at the mode before it looks whether it is a socket.
        if let Place::Inside(Spot { found: Some(found), .. }) = &resolved.place {
            resolved.accesses.push(Access::read(Location::Mode(found.object)));
        }
        Ok(Addressed::Inside(resolved))
    }

    /// Whether an address says that there is none.
    fn is_no_address(&self, address: u64) -> bool {
        self.caller
            .tracee
            .read(address, 2)
            .is_ok_and(|family| family == (libc::AF_UNSPEC as u16).to_le_bytes())
    }

    /// A socket that has no connection, or is for datagrams.
    fn unconnected(&self, number: i32) -> Option<Rc<Description>> {
        let description = self.known(number).ok()?;
        let socket = description.socket()?;
        let is_unconnected =
            socket.kind == Kind::Datagrams || matches!(socket.stage.get(), Stage::New | Stage::Named(_));
        is_unconnected.then_some(description)
    }

    fn not_followed(&mut self) -> Meant {
        self.note(GapKind::Socket, format!("a Unix socket ({})", self.name));
        Ok(Decision::Pass)
    }
}

/// Where an address leads.
pub(super) enum Addressed {
    /// Into the workspace, or to where something might be.
    Inside(Resolved),
    /// Elsewhere: what is to be done then.
    Elsewhere(Decision),
}

/// The socket that is at a place, and its path.
pub(super) fn socket_at(resolved: &Resolved) -> Option<(ObjectId, String)> {
    let Place::Inside(spot) = &resolved.place else { return None };
    let found = spot.found.as_ref().filter(|found| found.kind() == libc::S_IFSOCK)?;
    Some((found.object, spot.path.clone()))
}

/// Whether the path of a Unix socket leads to what is in the workspace, or might be.
fn leads_inside(resolved: &Resolved) -> bool {
    match &resolved.place {
        // Outside of it nobody under test makes one where there is none.
        Place::Inside(spot) => !spot.path.starts_with('/') || spot.found.is_some(),
        Place::Nowhere(Some(path)) if path.starts_with('/') => false,
        _ => !resolved.accesses.is_empty(),
    }
}
