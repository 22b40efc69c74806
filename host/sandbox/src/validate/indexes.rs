//! Sets of completion indexes in compact text, such as `1,3-5` (upstream: pkg/apis/batch/validation).

/// How many indexes `text` names, all below `completions` and in increasing order.
///
/// # Errors
/// What is wrong with the text, in upstream's words.
pub(super) fn count(text: &str, completions: i32) -> Result<i32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let mut last: Option<i32> = None;
    let mut total: i32 = 0;
    for part in text.split(',') {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total = total.saturating_add(end.saturating_sub(first).saturating_add(1));
        last = Some(end);
    }
    Ok(total)
}

/// The first index that both sets name; parts that are malformed are passed over.
pub(super) fn overlap(completed: &str, failed: &str, completions: i32) -> Option<i32> {
    if completed.is_empty() || failed.is_empty() {
        return None;
    }
    let parsed = |text: &str| -> Vec<(i32, i32)> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (completed, failed) = (parsed(completed), parsed(failed));
    let (mut completed, mut failed) = (completed.iter().peekable(), failed.iter().peekable());
    while let (Some((completed_first, completed_last)), Some((failed_first, failed_last))) =
        (completed.peek(), failed.peek())
    {
        if completed_first <= failed_last && failed_first <= completed_last {
            return Some(*completed_first.max(failed_first));
        }
        if completed_first <= failed_first {
            completed.next();
        } else {
            failed.next();
        }
    }
    None
}

fn interval(part: &str, completions: i32) -> Result<(i32, i32), String> {
    let limits: Vec<&str> = part.split('-').collect();
    let (first, last) = match limits.as_slice() {
        [one] => (*one, None),
        [first, last] => (*first, Some(*last)),
        _ => {
            return Err(format!(
                "the fragment {part:?} violates the requirement that an index interval can have at most two parts \
                 separated by '-'"
            ));
        }
    };
    let first = index(first, completions)?;
    let Some(last) = last else { return Ok((first, first)) };
    let last = index(last, completions)?;
    if first >= last {
        return Err(format!("non-increasing order, previous: {first}, current: {last}"));
    }
    Ok((first, last))
}

fn index(text: &str, completions: i32) -> Result<i32, String> {
    let number: i64 =
        text.parse().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
    if number >= i64::from(completions) {
        return Err(format!("too large index: {text:?}"));
    }
    i32::try_from(number).map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_counted_or_its_fault_named() {
        assert_eq!(count("1,3-5", 6), Ok(4));
        assert_eq!(count("3-5,1", 6), Err("non-increasing order, previous: 5, current: 1".to_owned()));
        assert_eq!(count("1-9", 6), Err("too large index: \"9\"".to_owned()));
        assert_eq!(count("x", 6), Err("cannot convert string to integer for index: \"x\"".to_owned()));
    }

    #[test]
    fn an_overlap_is_found_wherever_it_is() {
        assert_eq!(overlap("0,4-6", "1-3,6", 10), Some(6));
        assert_eq!(overlap("0,4-6", "1-3,7", 10), None);
    }
}
