//! The kinds of value that a strategy can name: sets, keyed lists, counters. Each function says `None` where the
//! values are not of its kind.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasherDefault;

use serde_json::{Number, Value};

/// Not the standard hasher: that one asks the system for random bytes, a call that a scheduler would see. Nothing
/// depends on the order in it.
type Items<'a> = HashSet<&'a Value, BuildHasherDefault<DefaultHasher>>;

/// Both sides' additions, without both sides' removals.
pub(super) fn sets(base: Option<&Value>, mine: Option<&Value>, disk: Option<&Value>) -> Option<Value> {
    let base = base.map_or_else(|| Some(Items::default()), distinct)?;
    let (mine, disk) = (mine?, disk?);
    let (in_mine, in_disk) = (distinct(mine)?, distinct(disk)?);
    let stays = |item: &&Value| in_mine.contains(item) || !base.contains(item);
    let added = |item: &&Value| !in_disk.contains(item) && !base.contains(item);
    let old = disk.as_array()?.iter().filter(stays);
    let new = mine.as_array()?.iter().filter(added);
    Some(old.chain(new).cloned().collect())
}

fn distinct(value: &Value) -> Option<Items<'_>> {
    let items = value.as_array()?;
    let set: Items = items.iter().collect();
    (set.len() == items.len()).then_some(set)
}

/// The elements of a keyed list by their keys, and the keys in the order of the elements.
#[derive(Default)]
pub(super) struct Elements<'a> {
    pub(super) order: Vec<String>,
    pub(super) by_key: BTreeMap<String, &'a Value>,
}

impl<'a> Elements<'a> {
    /// A missing list has no elements.
    pub(super) fn of(list: Option<&'a Value>, field: &str) -> Option<Self> {
        let mut elements = Self::default();
        for element in list.map_or(Some(&[] as &[Value]), |list| list.as_array().map(Vec::as_slice))? {
            let key = match element.as_object()?.get(field)? {
                Value::String(key) => key.clone(),
                Value::Number(number) if !number.is_f64() => number.to_string(),
                _ => return None,
            };
            elements.order.push(key.clone());
            if elements.by_key.insert(key, element).is_some() {
                return None;
            }
        }
        Some(elements)
    }
}

/// What became of a counter.
#[derive(Debug, PartialEq)]
pub(super) enum Sum {
    Is(Value),
    /// No number can hold it exactly.
    Beyond,
}

/// Both sides' differences, applied to the base.
pub(super) fn sum(base: Option<&Value>, mine: Option<&Value>, disk: Option<&Value>) -> Option<Sum> {
    let number =
        |value: &'_ Value| if let Value::Number(number) = value { Some(number.clone()) } else { None };
    let base = base.map_or(Some(Number::from(0)), number)?;
    let sides = [base, number(mine?)?, number(disk?)?];
    let exact = if sides.iter().any(Number::is_f64) { fractions(&sides) } else { integers(&sides) };
    Some(exact.map_or(Sum::Beyond, |number| Sum::Is(number.into())))
}

fn integers(sides: &[Number; 3]) -> Option<Number> {
    let [base, mine, disk] = sides.each_ref().map(Number::as_i128);
    // Three 64-bit numbers: this cannot overflow.
    Number::from_i128(disk? + mine? - base?)
}

/// Mine and disk are added first, so that the rounding is the same whichever is which.
fn fractions(sides: &[Number; 3]) -> Option<Number> {
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    let exact = |number: &Number| match number.as_i128() {
        Some(whole) if whole.unsigned_abs() > EXACT => None,
        _ => number.as_f64(),
    };
    let [base, mine, disk] = sides.each_ref().map(exact);
    // None where it is infinite.
    Number::from_f64((disk? + mine?) - base?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn add(base: Value, mine: Value, disk: Value) -> Option<Sum> {
        sum(Some(&base).filter(|base| !base.is_null()), Some(&mine), Some(&disk))
    }

    #[test]
    fn whole_numbers_are_added_exactly_or_not_at_all() {
        let is = |number: Value| Some(Sum::Is(number));
        assert_eq!(add(json!(5), json!(7), json!(4)), is(json!(6)));
        assert_eq!(add(json!(null), json!(1), json!(1)), is(json!(2)));
        assert_eq!(add(json!(u64::MAX - 2), json!(u64::MAX - 1), json!(u64::MAX - 1)), is(json!(u64::MAX)));
        assert_eq!(add(json!(u64::MAX - 1), json!(u64::MAX), json!(u64::MAX)), Some(Sum::Beyond));
        assert_eq!(add(json!(0), json!(i64::MIN), json!(-1)), Some(Sum::Beyond));
        assert_eq!(add(json!(u64::MAX), json!(0), json!(u64::MAX)), is(json!(0)));
    }

    #[test]
    fn fractions_are_added_the_same_way_from_both_sides() {
        let is = |number: Value| Some(Sum::Is(number));
        assert_eq!(add(json!(0.5), json!(1.0), json!(1)), is(json!(1.5)));
        assert_eq!(add(json!(0.1), json!(0.3), json!(0.7)), add(json!(0.1), json!(0.7), json!(0.3)));
        assert_eq!(add(json!(0), json!(f64::MAX), json!(f64::MAX)), Some(Sum::Beyond));
        assert_eq!(add(json!(0.5), json!(1), json!(i64::MAX)), Some(Sum::Beyond));
    }

    #[test]
    fn what_is_no_number_is_not_added() {
        assert_eq!(add(json!("1"), json!(2), json!(3)), None);
        assert_eq!(sum(None, Some(&json!(1)), None), None);
    }
}
