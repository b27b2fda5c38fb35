use super::super::{Gap, GapKind, ProcessId};
use super::{Footprint, Inode, Thing, Touch, gaps, meetings, merge};

const TMP: Inode = Inode::There { device: 1, number: 2 };

fn name(name: &str) -> Thing {
    Thing::Name { directory: TMP, name: name.into() }
}

fn inode(number: u64) -> Thing {
    Thing::Inode(Inode::There { device: 1, number })
}

/// A touch in letters: `r` reads, `e` reads what was there earlier, `c` changes, `n` changes for now.
fn touch(path: &str, how: &str) -> Touch {
    let has = |letter| how.contains(letter);
    Touch {
        path: path.into(),
        reads: has('r') || has('e'),
        sees_earlier: has('e'),
        changes: has('c'),
        changes_for_now: has('n'),
    }
}

/// The footprint of the process in this place.
fn footprint(process: usize, touches: &[(Thing, &str, &str)]) -> Footprint {
    let mut footprint = Footprint::new(ProcessId(process));
    for (thing, path, how) in touches {
        footprint.add(thing, &touch(path, how));
    }
    footprint
}

/// The kinds of the gaps if A and B touch one thing so, with `!` if they hide races.
fn kinds(thing: &Thing, path: &str, [a, b]: [&str; 2], is_host: bool) -> Vec<String> {
    let of = |process, how| footprint(process, &[(thing.clone(), path, how)]);
    let shown = |gap: &Gap| format!("{}{}", gap.kind, if gap.hides_races { "!" } else { "" });
    gaps(&[of(0, a), of(1, b)], is_host).iter().map(shown).collect()
}

#[test]
fn a_change_meets_a_read_and_a_change_of_another_process() {
    let listing = Thing::Listing(TMP);
    for (thing, how, expected) in [
        (inode(3), ["e", "e"], &[][..]),
        (inode(3), ["c", "c"], &["outside-write!"]),
        (inode(3), ["c", "r"], &["outside-read!"]),
        (inode(3), ["e", "c"], &["outside-read!", "persistent-effect!"]),
        (inode(3), ["n", "r"], &["outside-read!"]),
        (inode(3), ["n", "n"], &["outside-write!"]),
        (name("x"), ["c", "c"], &["outside-write!"]),
        (name("x"), ["c", "e"], &["outside-read!", "persistent-effect!"]),
        (name("x"), ["ce", ""], &["persistent-effect!"]),
        (name("x"), ["cr", ""], &["outside-write"]),
        (name("x"), ["c", ""], &["outside-write"]),
        (name("x"), ["ne", ""], &[]),
        (listing.clone(), ["c", "c"], &[]),
        (listing.clone(), ["cr", ""], &[]),
        (listing.clone(), ["c", "r"], &["outside-read!"]),
        (listing, ["n", "r"], &["outside-read!"]),
    ] {
        assert_eq!(kinds(&thing, "/tmp/x", how, true), expected, "{thing:?} {how:?}");
    }
}

#[test]
fn on_an_overlay_nothing_stays_for_the_next_execution() {
    assert_eq!(kinds(&name("x"), "/usr/x", ["ce", ""], false), ["outside-write"]);
    assert_eq!(kinds(&name("x"), "/usr/x", ["ce", "e"], false), ["outside-read!"]);
}

#[test]
fn shared_memory_is_a_gap_only_between_processes() {
    let shared = |how| kinds(&inode(3), "/dev/shm/sem.x", how, true);
    assert_eq!(shared(["c", "c"]), ["shared-memory!"]);
    assert_eq!(shared(["c", "e"]), ["shared-memory!"]);
    assert_eq!(shared(["ce", ""]), [""; 0]);
}

#[test]
fn two_new_names_in_one_directory_do_not_meet() {
    let made = |process, file: &str| {
        let path = format!("/tmp/{file}");
        footprint(process, &[(name(file), &path, "c"), (Thing::Listing(TMP), "/tmp", "c")])
    };
    assert_eq!(meetings(&[made(0, "a"), made(1, "b")]), []);
    let mut lists = footprint(2, &[(Thing::Listing(TMP), "/tmp", "r")]);
    let met = meetings(&[made(0, "a"), made(1, "b"), lists.clone()]);
    let all = vec![ProcessId(0), ProcessId(1), ProcessId(2)];
    assert_eq!(met.len(), 1);
    assert_eq!((met[0].kind, &met[0].processes, met[0].path.as_str()), (GapKind::OutsideRead, &all, "/tmp"));
    // Its own names do not meet its own list.
    lists.merge(Footprint { process: ProcessId(2), ..made(2, "c") });
    assert_eq!(meetings(&[lists]), []);
}

#[test]
fn gaps_of_the_same_processes_are_one_with_all_paths() {
    let of = |process, how| footprint(process, &[(inode(3), "/tmp/a", how), (inode(4), "/tmp/b", how)]);
    let found = gaps(&[of(0, "c"), of(1, "c")], true);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].paths, ["/tmp/a", "/tmp/b"]);
    assert_eq!(found[0].detail, "A and B change the same files outside the workspace");
}

#[test]
fn footprints_of_other_machines_meet_by_their_paths() {
    let met =
        meetings(&[footprint(0, &[(inode(3), "/tmp/a", "c")]), footprint(1, &[(inode(99), "/tmp/a", "r")])]);
    assert_eq!(met.len(), 1);
}

#[test]
fn footprints_are_merged_by_process_and_read_back_from_json() {
    let mut all = vec![footprint(1, &[(inode(3), "/tmp/a", "e")])];
    merge(
        &mut all,
        vec![footprint(0, &[(name("x"), "/tmp/x", "r")]), footprint(1, &[(inode(3), "/tmp/a", "c")])],
    );
    assert_eq!(all[1].touches[&inode(3)], touch("/tmp/a", "ec"));
    assert_eq!(all.iter().map(|of| of.process.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!([all[0].written_paths(), all[1].written_paths()], [vec![], vec!["/tmp/a".to_owned()]]);
    let text = serde_json::to_string(&all).expect("JSON");
    assert_eq!(serde_json::from_str::<Vec<Footprint>>(&text).expect("the same"), all);
}
