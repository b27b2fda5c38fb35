use super::Split;
use crate::explore::{Dpor, Reversal, Strategy};
use crate::model::{Choice, Cut, Execution, View};

/// How many parts there are for each shard, at the least: parts are not equally large.
const EACH: u32 = 2;

/// One shard of a search: some of its parts, one after another.
///
/// The first execution, free in all its choices, shows what to split by. It is the same in each shard, and the first of the part that it
/// belongs to: the shard that has this part goes on from there, to the others it is one of elsewhere.
#[derive(Clone, Debug)]
pub struct Sharded {
    number: u32,
    of: u32,
    explain: bool,
    /// What is to be explored, once that is known.
    split: Option<Split>,
    /// The parts that are still to come, the next one last.
    left: Vec<u32>,
    /// The part that is explored, by its number from 1; 0 where it is not known yet which one that is.
    part: u32,
    search: Dpor,
}

impl Sharded {
    /// Shard `number` (from 1) of `of`, which tells of each race that it goes back to, or not.
    #[must_use]
    pub fn new(number: u32, of: u32, explain: bool) -> Self {
        let search = Dpor::new().explaining(explain);
        Self { number, of, explain, split: None, left: Vec::new(), part: 0, search }
    }

    /// Splits the search by what its first execution shows.
    fn split_by(&mut self, execution: &Execution) {
        let questions = (EACH * self.of).next_power_of_two().ilog2() as usize;
        let split = Split::of(execution, questions);
        let own = split.of_execution(execution);
        self.left = split.of_shard(questions, self.number, self.of);
        self.left.reverse();
        let is_here = self.left.contains(&own);
        self.left.retain(|part| *part != own);
        // The first execution of a part of the others has nothing to go on from here.
        self.search.hold_to(split.part(own));
        self.part = if is_here { own + 1 } else { 0 };
        self.split = Some(split);
    }

    /// The search of a part of those that are still to come.
    fn within(&self, part: u32) -> Dpor {
        let split = self.split.as_ref().map_or_else(Default::default, |split| split.part(part));
        Dpor::within(split).explaining(self.explain)
    }
}

impl Strategy for Sharded {
    fn begin(&mut self) -> bool {
        if self.split.is_none() {
            return self.search.begin();
        }
        while self.part == 0 || !self.search.begin() {
            let Some(part) = self.left.pop() else { return false };
            self.search = self.within(part);
            self.part = part + 1;
        }
        true
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        self.search.choose(view)
    }

    fn end(&mut self, execution: &Execution) {
        if self.split.is_none() {
            self.split_by(execution);
            if self.part == 0 {
                return;
            }
        }
        self.search.end(execution);
    }

    fn owns(&self, execution: &Execution) -> bool {
        self.part != 0 && self.search.owns(execution)
    }

    fn is_exhaustive(&self) -> bool {
        true
    }

    /// As if the parts were equally large.
    fn done(&self) -> Option<f64> {
        let of_this_part = self.search.done().unwrap_or(0.0);
        let split = self.split.as_ref()?;
        let all = f64::from(split.parts()) / f64::from(self.of);
        Some(((all - self.left.len() as f64 - 1.0 + of_this_part) / all).clamp(0.0, 1.0))
    }

    fn reversals(&mut self) -> Vec<Reversal> {
        self.search.reversals()
    }

    /// The part, then the name in the part.
    fn name(&self) -> Vec<usize> {
        std::iter::once(self.part as usize).chain(self.search.name()).collect()
    }

    /// What is known of the present part, then the parts to come.
    fn ahead(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Box<dyn Strategy + Send>> {
        self.split.as_ref()?;
        let mut name = vec![self.part as usize];
        let of_this_part = &mut |rest: &[usize]| {
            name.truncate(1);
            name.extend(rest);
            wanted(&name)
        };
        let (part, search) = match self.search.ahead_of(of_this_part) {
            Some(search) if self.part != 0 => (self.part, search),
            _ => {
                let part = self.left.iter().rev().find(|part| wanted(&[**part as usize + 1]))?;
                (part + 1, self.within(*part))
            }
        };
        let split = self.split.clone();
        Some(Box::new(Self {
            number: self.number,
            of: self.of,
            explain: false,
            split,
            left: Vec::new(),
            part,
            search,
        }))
    }
}
