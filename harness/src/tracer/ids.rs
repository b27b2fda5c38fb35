//! The ids of processes in their namespace: those under test, and the copies that are kept. Pure.

/// How many process ids each process under test has for itself and its first children, one after another.
const IDS_EACH: u32 = 100;

/// The first of them: those below are for the init and for copies.
const FIRST_ID: u32 = 1_000;

/// The first id of those that further children have, and how many there are for each process. All are below the kernel's limit where
/// that is lowest, 32,768.
const FIRST_FURTHER: u32 = 20_000;
const FURTHER_EACH: u32 = 400;

/// The id of the process in this place, in its namespace.
#[must_use]
pub fn first_pid(place: usize) -> u32 {
    FIRST_ID + place as u32 * IDS_EACH
}

/// The id of task number `number` of the process in this place; number 0 is its first.
#[must_use]
pub fn id_of(place: usize, number: u32) -> u32 {
    match number.checked_sub(IDS_EACH) {
        None => first_pid(place) + number,
        Some(further) => FIRST_FURTHER + place as u32 * FURTHER_EACH + further % FURTHER_EACH,
    }
}

/// The place of the process that this id is one of.
#[must_use]
pub fn place_of(id: i32) -> Option<usize> {
    let id = u32::try_from(id).ok()?;
    let place = match id.checked_sub(FIRST_FURTHER) {
        Some(further) => further / FURTHER_EACH,
        None => id.checked_sub(FIRST_ID)? / IDS_EACH,
    };
    Some(place as usize)
}

/// Whether this is the id of a task that a process under test has made.
#[must_use]
pub fn is_of_child(id: u32) -> bool {
    place_of(id.cast_signed()).is_some_and(|place| id != first_pid(place))
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

#[cfg(test)]
mod tests {
    use super::{first_pid, id_of, is_of_child, place_of};

    #[test]
    fn ids_lead_back_to_their_processes() {
        for place in [0, 1, 15] {
            assert_eq!(id_of(place, 0), first_pid(place));
            for number in [0, 1, 99, 100, 101, 499, 600] {
                let id = id_of(place, number).cast_signed();
                assert_eq!(place_of(id), Some(place), "{number}");
                assert_eq!(is_of_child(id_of(place, number)), number != 0, "{number}");
            }
        }
        assert_eq!([place_of(1), place_of(999), place_of(-1)], [None; 3]);
        assert!(!is_of_child(999));
    }
}
