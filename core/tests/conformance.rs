//! One test body, two worlds: what the protocol promises, on the operating system and in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cooks_core::host::{Found, Host, MemHost, Mode, OsHost, Standing};
use cooks_core::merge::{Policy, Strategies};
use cooks_core::{Error, METADATA_FILE, METADATA_LOCK, Metadata, Recovered, Store, Wait};
use serde_json::{Value, json};

/// A world, and what somebody outside of the protocol can do in it.
trait World {
    type Host: Host;
    fn host(&self) -> Self::Host;
    fn dir(&self) -> PathBuf;
    fn put(&self, path: &Path, text: &str);
    fn put_link(&self, path: &Path, target: &Path);
    fn remove(&self, path: &Path);

    fn store(&self) -> Store<Self::Host> {
        Store::on(self.host(), self.dir()).expect("opens")
    }

    fn text(&self, name: &str) -> String {
        match self.host().read(&self.dir().join(name), u64::MAX).expect("reads") {
            Found::File { bytes, .. } => String::from_utf8(bytes).expect("text"),
            Found::Missing => panic!("{name} is missing"),
            Found::Link(target) => panic!("{name} is a link to {}", target.display()),
        }
    }

    fn names(&self) -> Vec<String> {
        self.host().list(&self.dir()).expect("lists")
    }
}

struct Os(tempfile::TempDir);

impl World for Os {
    type Host = OsHost;
    fn host(&self) -> OsHost {
        OsHost::new()
    }
    fn dir(&self) -> PathBuf {
        self.0.path().canonicalize().expect("exists")
    }
    fn put(&self, path: &Path, text: &str) {
        std::fs::write(path, text).expect("writes");
    }
    fn put_link(&self, path: &Path, target: &Path) {
        std::os::unix::fs::symlink(target, path).expect("links");
    }
    fn remove(&self, path: &Path) {
        std::fs::remove_file(path).expect("removes");
    }
}

struct Mem(MemHost);

impl World for Mem {
    type Host = MemHost;
    fn host(&self) -> MemHost {
        self.0.clone()
    }
    fn dir(&self) -> PathBuf {
        PathBuf::from("/d")
    }
    fn put(&self, path: &Path, text: &str) {
        self.0.put(path, text.as_bytes());
    }
    fn put_link(&self, path: &Path, target: &Path) {
        self.0.put_link(path, target);
    }
    fn remove(&self, path: &Path) {
        self.0.remove(path).expect("removes");
    }
}

/// Makes one test for each world of each body.
macro_rules! in_both_worlds {
    ($($body:ident),* $(,)?) => {
        mod os {
            $(#[test] fn $body() { super::$body(&super::Os(tempfile::tempdir().expect("a directory"))); })*
        }
        mod memory {
            $(#[test] fn $body() { super::$body(&super::Mem(super::MemHost::new())); })*
        }
    };
}

in_both_worlds!(
    a_missing_file_is_empty,
    an_update_is_seen_by_a_load,
    the_file_is_readable_text_with_sorted_keys,
    a_save_keeps_what_others_wrote_since,
    a_deletion_stays_deleted,
    a_conflict_is_an_error_unless_the_policy_decides,
    another_agents_part_is_refused,
    an_update_that_gives_up_writes_nothing,
    a_panic_in_the_closure_frees_the_locks_and_writes_nothing,
    a_corrupt_file_is_an_error_that_names_the_place_and_stays,
    a_lock_that_is_held_is_busy_and_names_its_holder,
    a_deadline_passes,
    locks_are_taken_in_order_and_once,
    nothing_but_the_files_of_the_design_is_left,
    leftovers_of_dead_writers_are_swept_and_in_nobodys_way,
    a_symbolic_link_to_the_file_is_followed_and_kept,
    a_link_in_the_place_of_a_lock_is_refused,
    a_lock_file_that_was_removed_is_not_mistaken_for_the_new_one,
);

fn object(value: Value) -> Metadata {
    value.as_object().expect("an object").clone()
}

/// The checksum of a file with this text.
fn generation(text: &str) -> cooks_core::Generation {
    let host = MemHost::new();
    host.put(&Path::new("/d").join(METADATA_FILE), text.as_bytes());
    Store::on(host, "/d").and_then(|store| store.load()).expect("loads").generation()
}

fn a_missing_file_is_empty(world: &impl World) {
    assert_eq!(world.store().load().expect("loads"), Metadata::new());
    assert_eq!(world.names(), [METADATA_LOCK], "a load creates the lock file and nothing else");
}

fn an_update_is_seen_by_a_load(world: &impl World) {
    let agent = world.store().agent("a").expect("takes the lock");
    let result = agent.update(|metadata| {
        assert!(metadata.is_empty());
        metadata.insert("a".into(), json!({ "n": 1, "f": 0.1, "text": "ü" }));
        7
    });
    assert_eq!(result.expect("updates"), 7, "what the closure returns comes back");
    assert_eq!(
        world.store().load().expect("loads"),
        object(json!({ "a": { "n": 1, "f": 0.1, "text": "ü" } }))
    );
}

fn the_file_is_readable_text_with_sorted_keys(world: &impl World) {
    for id in ["b", "a"] {
        let agent = world.store().agent(id).expect("takes the lock");
        agent.update(|metadata| metadata.insert(id.into(), json!(1))).expect("updates");
    }
    assert_eq!(world.text(METADATA_FILE), "{\n  \"a\": 1,\n  \"b\": 1\n}\n");
}

fn a_save_keeps_what_others_wrote_since(world: &impl World) {
    let store = world.store();
    let base = store.load().expect("loads");
    store.agent("b").expect("b").update(|metadata| metadata.insert("b".into(), json!(2))).expect("updates");
    let mine = object(json!({ "a": 1 }));
    let saved = store.agent("a").expect("a").save(&base, &mine).expect("saves");
    assert_eq!(saved, object(json!({ "a": 1, "b": 2 })));
    assert_eq!(store.load().expect("loads"), saved);
}

fn a_deletion_stays_deleted(world: &impl World) {
    let store = world.store();
    world.put(&store.path(), r#"{ "a": 1, "b": 1 }"#);
    let base = store.load().expect("loads");
    store.agent("b").expect("b").update(|metadata| metadata.remove("b")).expect("updates");
    let mut mine = base.to_metadata();
    mine.insert("a".into(), json!(2));
    store.agent("a").expect("a").save(&base, &mine).expect("saves");
    assert_eq!(store.load().expect("loads"), object(json!({ "a": 2 })));
}

fn a_conflict_is_an_error_unless_the_policy_decides(world: &impl World) {
    let store = world.store();
    world.put(&store.path(), r#"{ "a": { "x": 2 } }"#);
    let (base, mine) = (object(json!({ "a": { "x": 1 } })), object(json!({ "a": { "x": 3, "y": 1 } })));
    let agent = store.agent("a").expect("a");
    let Err(Error::Conflict(conflicts)) = agent.save(&base, &mine) else { panic!("no conflict") };
    assert_eq!(conflicts.to_string(), "both sides changed: /a/x: was 1, mine 3, on disk 2");
    assert_eq!(store.load().expect("loads"), object(json!({ "a": { "x": 2 } })), "nothing was written");
    let theirs = agent.save_with(&base, &mine, Policy::PreferTheirs, &Strategies::default()).expect("saves");
    assert_eq!(theirs, object(json!({ "a": { "x": 2, "y": 1 } })));
    let ours = agent.save_with(&base, &mine, Policy::PreferMine, &Strategies::default()).expect("saves");
    assert_eq!(ours, object(json!({ "a": { "x": 3, "y": 1 } })));
}

fn another_agents_part_is_refused(world: &impl World) {
    let store = world.store();
    world.put(&store.path(), r#"{ "b": 1 }"#);
    let agent = store.agent("a").expect("a");
    let base = store.load().expect("loads");
    let foreign =
        |result: Result<(), Error>| matches!(result, Err(Error::NotOwner { part, .. }) if part == "b");
    assert!(foreign(agent.update(|metadata| drop(metadata.remove("b")))));
    assert!(foreign(agent.update(|metadata| drop(metadata.insert("b".into(), json!(2))))));
    assert!(foreign(agent.save(&base, &Metadata::new()).map(drop)));
    assert_eq!(store.load().expect("loads"), base);
}

fn an_update_that_gives_up_writes_nothing(world: &impl World) {
    let store = world.store();
    let agent = store.agent("a").expect("a");
    let result = agent.try_update(|metadata| {
        metadata.insert("a".into(), json!(1));
        Err::<(), _>("changed my mind")
    });
    assert_eq!(result.expect("no failure of the store"), Err("changed my mind"));
    assert_eq!(store.load().expect("loads"), Metadata::new());
}

fn a_panic_in_the_closure_frees_the_locks_and_writes_nothing(world: &impl World) {
    let store = world.store().waiting(Wait::No);
    let work = std::panic::AssertUnwindSafe(|| {
        let agent = store.agent("a").expect("a");
        agent.update(|metadata| {
            metadata.insert("a".into(), json!(1));
            panic!("in the closure");
        })
    });
    let panicked = std::panic::catch_unwind(work);
    assert!(panicked.is_err());
    assert_eq!(store.load().expect("the metadata lock is free"), Metadata::new());
    store.agent("a").expect("the agent's lock is free");
}

fn a_corrupt_file_is_an_error_that_names_the_place_and_stays(world: &impl World) {
    let store = world.store();
    let agent = store.agent("a").expect("a");
    for (text, place, detail) in [
        ("", (1, 1, 0), "the file is empty"),
        ("{\n  \"a\": 1,\n  \"b\": tru\n", (3, 11, 22), "expected ident"),
        ("{ \"a\": 1 } x", (1, 12, 11), "the object has ended, but the text goes on"),
        ("{ \"a\": 1", (1, 9, 8), "the text ends too early (EOF while parsing an object)"),
        ("[]", (1, 1, 0), "expected an object, found an array"),
        ("{ \"ü\": ?}", (1, 9, 8), "expected value"),
    ] {
        world.put(&store.path(), text);
        let results = [
            store.load().map(drop),
            agent.update(|_| ()),
            agent.save(&Metadata::new(), &Metadata::new()).map(drop),
        ];
        for result in results {
            let Err(Error::Corrupt { path, line, column, byte, detail: said }) = result else {
                panic!("{text:?}: {result:?}");
            };
            assert_eq!((line, column, byte), place, "{text:?}");
            assert_eq!((path, said.as_str()), (store.path(), detail), "{text:?}");
        }
        assert_eq!(world.text(METADATA_FILE), text, "the file is left for people to repair");
    }
}

fn a_lock_that_is_held_is_busy_and_names_its_holder(world: &impl World) {
    let store = world.store();
    let _held = store.agent("a").expect("a");
    // In another thread: in this one it would be a re-entry. Stores of the model's and the real host move freely.
    let (host, dir) = (world.host(), world.dir());
    let file = host.open_lock(&dir.join("b.lock")).expect("opens");
    assert!(host.try_lock(&file, Mode::Exclusive).expect("locks"));
    host.write_note(&file, b"pid 1 agent somebody\n").expect("writes");
    let Err(Error::Busy { lock, waited, holder }) = store.waiting(Wait::No).agent("b").map(drop) else {
        panic!("not busy")
    };
    assert_eq!(lock, dir.join("b.lock"));
    assert_eq!(waited, Duration::ZERO);
    assert_eq!(holder.as_deref(), Some("pid 1 agent somebody"));
    assert!(world.text("a.lock").starts_with(&format!("pid {} agent a ", host.process())));
}

fn a_deadline_passes(world: &impl World) {
    let (host, wait) = (world.host(), Duration::from_millis(40));
    // Opened first, so that it has looked for what dead writers have left: for that it must be alone.
    let store = world.store().waiting(Wait::For(wait));
    let file = host.open_lock(&world.dir().join(METADATA_LOCK)).expect("opens");
    assert!(host.try_lock(&file, Mode::Shared).expect("locks"));
    let agent = store.agent("a").expect("a");
    store.load().expect("shared and shared go together");
    let before = host.now();
    let Err(Error::Busy { waited, .. }) = agent.update(|_| panic!("without the lock")) else {
        panic!("not busy")
    };
    assert_eq!(waited, wait);
    assert!(host.now() - before >= wait, "it gave up early");
    drop(file);
    agent.update(|_| ()).expect("closing the file frees its lock");
}

fn locks_are_taken_in_order_and_once(world: &impl World) {
    let store = world.store();
    let agent = store.agent("b").expect("b");
    let reentry = |result: Result<(), Error>| matches!(result, Err(Error::Reentry { .. }));
    let order = |result: Result<(), Error>| matches!(result, Err(Error::Order { .. }));
    assert!(reentry(store.agent("b").map(drop)));
    assert!(order(store.agent("a").map(drop)));
    let inside = |work: &dyn Fn() -> Result<(), Error>| agent.update(|_| work()).expect("updates");
    assert!(reentry(inside(&|| store.load().map(drop))));
    assert!(reentry(inside(&|| agent.update(|_| ()))));
    assert!(order(inside(&|| store.agent("c").map(drop))), "an agent's lock inside the metadata lock");
    let later = store.agent("c").expect("a later id is in order");
    drop(agent);
    assert!(order(store.agent("b").map(drop)), "c is still held");
    drop(later);
    store.agent("a").expect("nothing is held any more");
}

fn nothing_but_the_files_of_the_design_is_left(world: &impl World) {
    let agent = world.store().agent("a").expect("a");
    agent.update(|metadata| metadata.insert("a".into(), json!(1))).expect("updates");
    agent.update(|metadata| metadata.insert("a".into(), json!(2))).expect("updates");
    assert_eq!(world.names(), [METADATA_LOCK, "a.lock", METADATA_FILE]);
}

fn leftovers_of_dead_writers_are_swept_and_in_nobodys_way(world: &impl World) {
    let (store, process) = (world.store(), world.host().process());
    // What the writer will call its own: the name is made of the content.
    let checksum = generation("{\n  \"a\": 1\n}\n");
    let leftover = world.dir().join(format!(".{METADATA_FILE}.{checksum}.{process}.0.tmp"));
    let foreign = world.dir().join("notes.tmp");
    world.put(&leftover, "{ \"half");
    world.put(&foreign, "mine");
    store.agent("a").expect("a").update(|metadata| metadata.insert("a".into(), json!(1))).expect("updates");
    let removed = Recovered { removed: vec![leftover], adopted: None };
    assert_eq!(store.recover().expect("recovers"), removed);
    assert_eq!(store.recover().expect("recovers"), Recovered::default());
    assert_eq!(world.names(), [METADATA_LOCK, "a.lock", METADATA_FILE, "notes.tmp"]);
}

fn a_symbolic_link_to_the_file_is_followed_and_kept(world: &impl World) {
    let store = world.store();
    world.put(&world.dir().join("real.json"), r#"{ "b": 1 }"#);
    world.put_link(&world.dir().join("middle"), Path::new("real.json"));
    world.put_link(&store.path(), &world.dir().join("middle"));
    store.agent("a").expect("a").update(|metadata| metadata.insert("a".into(), json!(1))).expect("updates");
    assert_eq!(store.load().expect("loads"), object(json!({ "a": 1, "b": 1 })));
    assert_eq!(world.text("real.json"), "{\n  \"a\": 1,\n  \"b\": 1\n}\n");
    assert!(matches!(world.host().read(&store.path(), u64::MAX).expect("reads"), Found::Link(_)));
    world.remove(&world.dir().join("real.json"));
    assert_eq!(store.load().expect("a link to nothing is a missing file"), Metadata::new());
}

fn a_link_in_the_place_of_a_lock_is_refused(world: &impl World) {
    world.put(&world.dir().join("elsewhere"), "");
    world.put_link(&world.dir().join("a.lock"), Path::new("elsewhere"));
    let result = world.store().agent("a").map(drop);
    assert!(matches!(result, Err(Error::Io { doing: "open the lock file", .. })), "{result:?}");
}

fn a_lock_file_that_was_removed_is_not_mistaken_for_the_new_one(world: &impl World) {
    let (host, path) = (world.host(), world.dir().join("a.lock"));
    let file = host.open_lock(&path).expect("opens");
    let standing = |file| host.standing(file, &path).expect("a missing path is an answer");
    assert_eq!(standing(&file), Standing::Here { length: 0 });
    world.remove(&path);
    assert_eq!(standing(&file), Standing::Gone);
    let newcomer = host.open_lock(&path).expect("opens");
    assert_eq!(standing(&file), Standing::Gone);
    assert_eq!(standing(&newcomer), Standing::Here { length: 0 });
}
