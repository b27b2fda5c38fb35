//! Every system call of Linux up to 6.18, by name and number, and how it is treated. The filter and the decoding follow from this.

mod decoded;
mod local;
mod refused;

use super::Decoder;
use super::reported::{About, Report};
use super::undecided::Meant;
use crate::model::GapKind;
use crate::tracer::arch;

/// What to do about a call.
#[derive(Clone, Copy, Debug)]
pub enum Treatment {
    /// It neither touches what processes share nor sees a source of chance: it does not stop.
    Local,
    /// It stops, and this says what it means, or why that is not known.
    Decoded(Meaning),
    /// It is not made, and gives this error.
    Refused(i32),
    /// It is let pass, and this is said not to be covered.
    Reported(Report),
}

/// What a call means, from its arguments.
pub type Meaning = fn(&mut Decoder<'_>, [u64; 6]) -> Meant;

/// A call.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, as in the kernel's header.
    pub name: &'static str,
    /// Its number on x86-64.
    x86_64: u32,
    /// Its number on aarch64, where it is one of the generic calls.
    aarch64: u32,
    /// What to do about it.
    pub treatment: Treatment,
    /// An argument, and the values (of its lower half) with which the call is local all the same.
    pub local_with: Option<(u32, &'static [u32])>,
}

/// The number of a call that an architecture does not have.
const NONE: u32 = u32::MAX;

/// Numbers from here on are not known.
pub const END: u32 = 470;

const ALL: [&[Row]; 4] = [local::ROWS, decoded::ROWS, refused::ROWS, refused::REPORTED];

static BY_NUMBER: [Option<&Row>; END as usize] = by_number();

const fn by_number() -> [Option<&'static Row>; END as usize] {
    let mut table = [None; END as usize];
    let mut part = 0;
    while part < ALL.len() {
        let mut at = 0;
        while at < ALL[part].len() {
            let row = &ALL[part][at];
            let number = row.number();
            if number != NONE {
                assert!(table[number as usize].is_none(), "a number is taken twice");
                table[number as usize] = Some(row);
            }
            at += 1;
        }
        part += 1;
    }
    table
}

impl Row {
    /// Its number on the machine that this is built for.
    const fn number(&self) -> u32 {
        arch::number(self.x86_64, self.aarch64)
    }

    /// The same, but local where the lower half of an argument has one of these values.
    const fn local_with(self, argument: u32, values: &'static [u32]) -> Self {
        Self { local_with: Some((argument, values)), ..self }
    }
}

/// The call of a number.
#[must_use]
pub fn row(number: u64) -> Option<&'static Row> {
    *BY_NUMBER.get(usize::try_from(number).ok()?)?
}

const fn local(name: &'static str, x86_64: u32, aarch64: u32) -> Row {
    Row { name, x86_64, aarch64, treatment: Treatment::Local, local_with: None }
}

const fn decoded(name: &'static str, x86_64: u32, aarch64: u32, meaning: Meaning) -> Row {
    Row { name, x86_64, aarch64, treatment: Treatment::Decoded(meaning), local_with: None }
}

const fn refused(name: &'static str, x86_64: u32, aarch64: u32, error: i32) -> Row {
    Row { name, x86_64, aarch64, treatment: Treatment::Refused(error), local_with: None }
}

const fn reported(
    name: &'static str,
    (x86_64, aarch64): (u32, u32),
    report: (GapKind, &'static str, About),
) -> Row {
    let (kind, what, about) = report;
    let treatment = Treatment::Reported(Report { kind, what, about });
    Row { name, x86_64, aarch64, treatment, local_with: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ALL, About, Decoder, END, NONE, Report, Row, Treatment, row};
    use crate::model::GapKind;
    use crate::tracer::decode::Decision;
    use crate::tracer::decode::undecided::Early;

    /// The calls of one architecture, by name, with their numbers.
    type Calls = BTreeMap<String, u32>;

    fn table(number: impl Fn(&Row) -> u32) -> Calls {
        let rows = ALL.iter().flat_map(|rows| rows.iter());
        rows.filter(|row| number(row) != NONE).map(|row| (row.name.to_owned(), number(row))).collect()
    }

    /// Names each call that one of the two has and the other has not, or with another number.
    #[track_caller]
    fn assert_same(table: &Calls, list: &Calls, whose: &str) {
        let missing: Vec<_> = list.iter().filter(|(name, number)| table.get(*name) != Some(number)).collect();
        assert!(missing.is_empty(), "the table lacks these of {whose}: {missing:?}");
    }

    /// The list of a crate that is made from the kernel's sources.
    macro_rules! published {
        ($architecture:ident) => {
            (0..1000)
                .filter_map(syscalls::$architecture::Sysno::new)
                .map(|call| (call.name().to_owned(), call.id().cast_unsigned()))
                .collect::<Calls>()
        };
    }

    #[test]
    fn the_table_has_every_call_of_linux_6_18() {
        let (ours, list) = (table(|row| row.x86_64), published!(x86_64));
        assert_same(&ours, &list, "Linux 6.18");
        assert_same(&list, &ours, "this table");
        assert_eq!(ours.len(), 383);
    }

    #[test]
    fn the_table_has_every_generic_call() {
        let (ours, mut list) = (table(|row| row.aarch64), published!(aarch64));
        // Of 32-bit architectures only; and another name of `newfstatat`.
        list.retain(|name, number| !(403..424).contains(number) && name != "fstatat");
        list.insert("newfstatat".into(), 79);
        assert_same(&ours, &list, "Linux 6.18 on aarch64");
        assert_same(&list, &ours, "this table");
    }

    /// Where the machine has the kernel's header.
    #[test]
    fn the_table_has_every_call_of_this_machine() {
        let headers = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"];
        for header in headers.iter().filter_map(|path| std::fs::read_to_string(path).ok()) {
            let defined =
                header.lines().filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '));
            let list: Calls =
                defined.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?))).collect();
            assert!(list.len() > 300, "the header is not understood");
            assert_same(&table(|row| row.x86_64), &list, "this machine's header");
        }
    }

    /// What is not in the table is unknown, and what is in it ends in one of five ways: it is local, is held or answered by its meaning
    /// (which says why, where it ends early), is refused with an error, or is reported with a kind and a name.
    #[test]
    fn each_row_ends_in_one_of_five_ways() {
        for row in ALL.iter().flat_map(|rows| rows.iter()) {
            match row.treatment {
                Treatment::Local => assert!(row.local_with.is_none(), "{}: it is local anyway", row.name),
                // That there is no way out of a meaning without a reason is for its type to say.
                Treatment::Decoded(meaning) => {
                    let _: fn(&mut Decoder<'_>, [u64; 6]) -> Result<Decision, Early> = meaning;
                    let with = row.local_with.is_none_or(|(argument, of)| argument < 6 && !of.is_empty());
                    assert!(with, "{}: local with no value of an argument", row.name);
                }
                Treatment::Refused(error) => assert!((1..4096).contains(&error), "{}: no error", row.name),
                Treatment::Reported(Report { kind, what, about }) => {
                    assert!(!what.is_empty() && GapKind::ALL.contains(&kind), "{}: no name", row.name);
                    let (About::Key(at) | About::Number(at) | About::Name(at) | About::Process(at)) = about
                    else {
                        continue;
                    };
                    assert!(at < 6, "{}: no argument", row.name);
                    assert!(row.local_with.is_none(), "{}: reported, or local", row.name);
                }
            }
        }
    }

    #[test]
    fn a_number_leads_to_its_row() {
        assert_eq!(row(257).map(|row| row.name), Some("openat"));
        assert_eq!(row(469).map(|row| row.name), Some("file_setattr"));
        for unknown in [400, u64::from(END), u64::MAX] {
            assert!(row(unknown).is_none());
        }
    }
}
