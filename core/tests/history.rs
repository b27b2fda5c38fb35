//! Random histories of several agents over one store, against a plain map: each call's result, and the file after it.
//! One body for the operating system and the host in memory. proptest prints the history that disagrees, cut down to
//! what matters, and its seed.

mod common;

use cooks_core::host::{Found, Host, MemHost};
use cooks_core::merge::{Policy, Strategies};
use cooks_core::{Agent, Error, Metadata, Snapshot, Store};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const AGENTS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Load,
    Change(Option<Value>),
    Update(Option<Value>),
    /// By its `Err` the closure leaves all as it is.
    GiveUp(Option<Value>),
    /// Touches the part of the agent with this number.
    Foreign(usize, Value),
    /// Of what the agent loaded last, however long ago.
    Save(Option<Value>, Policy),
    CompareAndSave(Option<Value>),
    /// A new store and a new handle; what was loaded stays in mind.
    Reopen,
}

fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), Just(json!([1])), Just(json!("x\ny"))];
    leaf.prop_recursive(2, 8, 3, |inner| {
        proptest::collection::btree_map("[xyz]", inner, 0..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

fn part() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![1 => Just(None), 4 => value().prop_map(Some)]
}

fn step() -> impl Strategy<Value = Step> {
    let policy = || select(vec![Policy::Fail, Policy::PreferMine, Policy::PreferTheirs]);
    prop_oneof![
        3 => Just(Step::Load),
        3 => part().prop_map(Step::Change),
        3 => part().prop_map(Step::Update),
        1 => part().prop_map(Step::GiveUp),
        1 => (0..3usize, value()).prop_map(|(other, value)| Step::Foreign(other, value)),
        5 => (part(), policy()).prop_map(|(part, policy)| Step::Save(part, policy)),
        3 => part().prop_map(Step::CompareAndSave),
        1 => Just(Step::Reopen),
    ]
}

fn history() -> impl Strategy<Value = Vec<(usize, Step)>> {
    proptest::collection::vec((0..AGENTS.len(), step()), 0..40)
}

/// The reference: a map, and whether it was ever written.
#[derive(Clone, Default)]
struct Plain {
    parts: Metadata,
    written: bool,
}

impl Plain {
    /// The file byte for byte.
    fn text(&self) -> String {
        if self.written { format!("{:#}\n", Value::from(self.parts.clone())) } else { String::new() }
    }

    fn write(&mut self, key: &str, part: Option<Value>) {
        set(&mut self.parts, key, part);
        self.written = true;
    }
}

fn set(metadata: &mut Metadata, key: &str, part: Option<Value>) {
    match part {
        Some(value) => drop(metadata.insert(key.to_owned(), value)),
        None => drop(metadata.remove(key)),
    }
}

/// The rules of the merge, written down once more, as short as they go: what becomes of one value, and whether a
/// policy had to decide.
fn merged(
    base: Option<&Value>,
    mine: Option<&Value>,
    disk: Option<&Value>,
    keep_mine: bool,
) -> (Option<Value>, bool) {
    let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    match (base, fields(base), fields(mine), fields(disk)) {
        _ if mine == base => (disk.cloned(), false),
        _ if disk == base || mine == disk => (mine.cloned(), false),
        (None, _, Some(mine), Some(disk)) => merged_fields(&Metadata::new(), &mine, &disk, keep_mine),
        (_, Some(base), Some(mine), Some(disk)) => merged_fields(&base, &mine, &disk, keep_mine),
        _ => (if keep_mine { mine.cloned() } else { disk.cloned() }, true),
    }
}

fn merged_fields(
    base: &Metadata,
    mine: &Metadata,
    disk: &Metadata,
    keep_mine: bool,
) -> (Option<Value>, bool) {
    let (mut result, mut decided) = (Metadata::new(), false);
    for key in base.keys().chain(mine.keys()).chain(disk.keys()) {
        let (value, here) = merged(base.get(key), mine.get(key), disk.get(key), keep_mine);
        set(&mut result, key, value);
        decided |= here;
    }
    (Some(result.into()), decided)
}

/// What an agent has in mind: what it loaded, and what the reference was then.
struct Mind {
    base: Snapshot,
    then: Plain,
}

struct Run<'a, H: Host> {
    open: &'a dyn Fn() -> Store<H>,
    agents: Vec<Agent<H>>,
    minds: Vec<Mind>,
    plain: Plain,
}

impl<'a, H: Host> Run<'a, H> {
    fn new(open: &'a dyn Fn() -> Store<H>) -> Self {
        let agents = AGENTS.map(|id| open().agent(id).expect("takes its lock")).into();
        let mind = |_| Mind { base: open().load().expect("loads"), then: Plain::default() };
        Self { open, agents, minds: AGENTS.iter().map(mind).collect(), plain: Plain::default() }
    }

    fn step(&mut self, who: usize, step: &Step) {
        let (agent, id) = (&self.agents[who], AGENTS[who]);
        match step {
            Step::Load => {
                let loaded = agent.store().load().expect("loads");
                self.remember(who, loaded);
            }
            Step::Change(part) => {
                let before = agent.change(|now| std::mem::replace(now, part.clone())).expect("changes");
                assert_eq!(before.as_ref(), self.plain.parts.get(id));
                self.plain.write(id, part.clone());
            }
            Step::Update(part) => {
                let update = |metadata: &mut Metadata| (metadata.clone(), set(metadata, id, part.clone()));
                assert_eq!(agent.update(update).expect("updates").0, self.plain.parts);
                self.plain.write(id, part.clone());
            }
            Step::GiveUp(part) => {
                let given_up = agent.try_update(|metadata| {
                    set(metadata, id, part.clone());
                    Err::<(), _>("no")
                });
                assert_eq!(given_up.expect("no failure of the store"), Err("no"));
            }
            Step::Foreign(other, value) => self.foreign(who, AGENTS[*other], value),
            Step::Save(part, policy) => self.save(who, part, *policy),
            Step::CompareAndSave(part) => self.compare_and_save(who, part),
            Step::Reopen => {
                // A thread takes these locks in their order, so the later ones are given back as well.
                self.agents.truncate(who);
                self.agents.extend(AGENTS[who..].iter().map(|id| (self.open)().agent(id).expect("is free")));
            }
        }
    }

    fn remember(&mut self, who: usize, base: Snapshot) {
        assert_eq!(base, self.plain.parts);
        self.minds[who] = Mind { base, then: self.plain.clone() };
    }

    fn foreign(&mut self, who: usize, other: &str, value: &Value) {
        let is_change = self.plain.parts.get(other) != Some(value);
        let result = self.agents[who].update(|metadata| set(metadata, other, Some(value.clone())));
        match result {
            Ok(()) => {
                assert!(other == AGENTS[who] || !is_change);
                self.plain.write(other, Some(value.clone()));
            }
            Err(Error::NotOwner { agent, part }) => {
                assert!(other != AGENTS[who] && is_change);
                assert_eq!((agent.as_str(), part.as_str()), (AGENTS[who], other));
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn save(&mut self, who: usize, part: &Option<Value>, policy: Policy) {
        let (id, Mind { base, .. }) = (AGENTS[who], &self.minds[who]);
        let mut mine = base.to_metadata();
        set(&mut mine, id, part.clone());
        let disk = self.plain.parts.get(id);
        let (value, decided) = merged(base.get(id), part.as_ref(), disk, policy == Policy::PreferMine);
        match self.agents[who].save_with(base, &mine, policy, &Strategies::default()) {
            Ok(saved) => {
                assert!(!decided || policy != Policy::Fail, "a conflict was passed over");
                self.plain.write(id, value);
                self.remember(who, saved);
            }
            Err(Error::Conflict(_)) => assert!(decided && policy == Policy::Fail, "there is no conflict"),
            Err(error) => panic!("{error}"),
        }
    }

    fn compare_and_save(&mut self, who: usize, part: &Option<Value>) {
        let (id, Mind { base, then }) = (AGENTS[who], &self.minds[who]);
        let mut mine = base.to_metadata();
        set(&mut mine, id, part.clone());
        let unchanged = then.text() == self.plain.text();
        match self.agents[who].compare_and_save(base.generation(), &mine) {
            Ok(saved) => {
                assert!(unchanged, "a change was passed over");
                self.plain.write(id, part.clone());
                self.remember(who, saved);
            }
            Err(Error::Changed { expected, found, .. }) => {
                assert!(!unchanged, "there is no change");
                assert!(expected == base.generation() && found != expected);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// After each step, whoever looks sees the same as the reference, byte for byte.
    fn check(&self, host: &H) {
        for agent in &self.agents {
            assert_eq!(agent.store().load().expect("loads"), self.plain.parts);
        }
        let text = match host.read(&self.agents[0].store().path(), u64::MAX).expect("reads") {
            Found::File { bytes, .. } => String::from_utf8(bytes).expect("text"),
            Found::Missing | Found::Link(_) => String::new(),
        };
        assert_eq!(text, self.plain.text());
    }
}

fn check<H: Host>(host: &H, open: &dyn Fn() -> Store<H>, history: &[(usize, Step)]) {
    let mut run = Run::new(open);
    for (who, step) in history {
        run.step(*who, step);
        run.check(host);
    }
    let plain = run.plain.parts.clone();
    drop(run);
    assert_eq!(open().load().expect("loads"), plain, "after all have gone");
}

proptest! {
    #[test]
    fn on_the_operating_system_a_history_gives_what_a_plain_map_does(history in history()) {
        let dir = common::dir_in_memory();
        check(&cooks_core::host::OsHost::new(), &|| Store::open(&dir).expect("opens"), &history);
    }

    #[test]
    fn in_memory_a_history_gives_what_a_plain_map_does(history in history()) {
        let host = MemHost::new();
        check(&host, &|| Store::on(host.clone(), "/d").expect("opens"), &history);
    }
}
