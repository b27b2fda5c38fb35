use crate::model::{Operation, ProcessId};

/// One step of a sequence that is to be run from some node: who, and what is known of the operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) process: ProcessId,
    pub(super) operation: &'a Operation,
}

/// A wakeup tree, as the ordered list of its branches: sequences that must still be run, none of them equivalent to the beginning
/// of another. A branch with nothing below it is run on freely.
pub(super) type Tree = Vec<Branch>;

/// One branch of a wakeup tree.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) process: ProcessId,
    pub(super) operation: Operation,
    pub(super) below: Tree,
}

/// Whether some continuation of the sequence is equivalent to one that begins with this process (the paper's weak initials, WI):
/// its first step in the sequence depends on none before, or it has no step there and depends on none at all.
pub(super) fn is_weak_initial(process: ProcessId, operation: &Operation, sequence: &[Step<'_>]) -> bool {
    sequence
        .iter()
        .take_while(|step| step.process != process)
        .all(|step| !step.operation.conflicts(operation))
}

/// Makes sure that some sequence of the tree is equivalent to a beginning of a continuation of this one: it is there already, or
/// it is added as the last branch of the node where it leaves the tree.
pub(super) fn insert(tree: &mut Tree, mut sequence: Vec<Step<'_>>) {
    for branch in tree.iter_mut() {
        if !is_weak_initial(branch.process, &branch.operation, &sequence) {
            continue;
        }
        if let Some(first) = sequence.iter().position(|step| step.process == branch.process) {
            sequence.remove(first);
        }
        if !sequence.is_empty() && !branch.below.is_empty() {
            insert(&mut branch.below, sequence);
        }
        return;
    }
    tree.extend(chain(&sequence));
}

/// The sequence as a tree without forks.
fn chain(sequence: &[Step<'_>]) -> Option<Branch> {
    sequence.iter().rev().fold(None, |below, step| {
        let operation = step.operation.clone();
        Some(Branch { process: step.process, operation, below: below.into_iter().collect() })
    })
}

#[cfg(test)]
mod tests {
    use super::{Step, Tree, insert, is_weak_initial};
    use crate::model::{Access, Location, ObjectId, Operation, ProcessId};

    fn write(object: u32) -> Operation {
        let location = Location::Data { object: ObjectId::Initial(object), start: 0, end: 1 };
        Operation { accesses: vec![Access::write(location)], ..Operation::default() }
    }

    /// The tree in one line: `A(B) C`.
    fn show(tree: &Tree) -> String {
        let branches = tree.iter().map(|branch| match branch.below.is_empty() {
            true => branch.process.to_string(),
            false => format!("{}({})", branch.process, show(&branch.below)),
        });
        branches.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_sequence_is_added_once_whatever_the_order_of_its_independent_steps() {
        let (x, y) = (write(1), write(2));
        let [a, b, c] =
            [(0, &x), (1, &y), (2, &x)].map(|(p, operation)| Step { process: ProcessId(p), operation });
        let mut tree = Tree::new();
        insert(&mut tree, vec![a, b]);
        insert(&mut tree, vec![b, a]);
        assert_eq!(show(&tree), "A(B)");
        insert(&mut tree, vec![b, c]);
        assert_eq!(show(&tree), "A(B) B(C)", "C conflicts with A, so it cannot follow it");
        insert(&mut tree, vec![c, b]);
        assert_eq!(show(&tree), "A(B) B(C)");
        insert(&mut tree, vec![a, b, c]);
        assert_eq!(show(&tree), "A(B) B(C)", "what extends a leaf is found from there");
    }

    #[test]
    fn weak_initials_are_first_or_independent() {
        let (x, y) = (write(1), write(2));
        let sequence = [Step { process: ProcessId(0), operation: &x }, Step { process: ProcessId(1), operation: &x }];
        assert!(is_weak_initial(ProcessId(0), &x, &sequence));
        assert!(!is_weak_initial(ProcessId(1), &x, &sequence));
        assert!(is_weak_initial(ProcessId(2), &y, &sequence));
        assert!(!is_weak_initial(ProcessId(2), &x, &sequence));
    }
}
