//! What the kernel refuses because of the flags of a file, and what it tells of the processes of a user.

use crate::support::{classes, files, python, schedules};

/// Makes a file immutable (`FS_IOC_SETFLAGS`), if the file system and the user can.
const MAKES_IMMUTABLE: &str = "
import fcntl, os, struct
file = os.open('f', os.O_RDONLY)
try:
    fcntl.ioctl(file, 0x40086602, struct.pack('l', 0x10))
except OSError as error:
    print('refused')
";

#[test]
fn what_is_made_immutable_is_laid_out_again_before_the_next_execution() {
    let writer = python(
        "
try:
    open('f', 'a').write('more')
except PermissionError:
    print('kept')
",
    );
    let programs = [python(MAKES_IMMUTABLE), writer];
    let initial = files(&[("f", "text")]);
    let seen = classes(&programs, &initial);
    assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes);
}

#[test]
fn the_priority_of_a_user_is_that_of_any_process() {
    let sets = python(
        "
import os
open('made', 'w').close()
try:
    os.setpriority(os.PRIO_PROCESS, 0, -5)
except PermissionError:
    pass
",
    );
    let asks = python(
        "
import os
print(os.getpriority(os.PRIO_USER, 0))
",
    );
    let (programs, initial) = ([sets, asks], files(&[]));
    let seen = classes(&programs, &initial);
    assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes);
}
