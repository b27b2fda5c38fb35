//! The ids of processes in their namespace: those under test, and the copies that are kept. Pure.

/// How many process ids each process under test has for itself and its children.
const IDS_EACH: u32 = 100;

/// The first of them: those below are for the init and for copies.
const FIRST_ID: u32 = 1_000;

/// The id of the process in this place, in its namespace.
#[must_use]
pub fn first_pid(place: usize) -> u32 {
    FIRST_ID + place as u32 * IDS_EACH
}

/// The ids that the process in this place and its children have.
#[must_use]
pub fn ids_of(place: usize) -> std::ops::Range<u32> {
    first_pid(place)..first_pid(place) + IDS_EACH
}

/// The id of the checkpoint of the process in this place, if there is one to be had.
#[must_use]
pub fn checkpoint_pid(place: usize) -> Option<u32> {
    u32::try_from(2 * place + 3).ok().filter(|id| *id < FIRST_ID)
}

/// The id of the template of a program, if there is one to be had.
#[must_use]
pub fn template_pid(program: usize) -> Option<u32> {
    u32::try_from(2 * program + 2).ok().filter(|id| *id < FIRST_ID)
}
