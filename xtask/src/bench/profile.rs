//! Reads what callgrind writes.

use std::collections::HashMap;

/// The instructions of the whole profile.
pub fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The instructions of all calls of functions of such names, with what those call. None of them may call another one.
pub fn within(profile: &str, is_meant: impl Fn(&str) -> bool) -> u64 {
    // A name is written once, with a number that stands for it from then on.
    let mut meant: HashMap<&str, bool> = HashMap::new();
    let mut is_called = false;
    let mut sum = 0;
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        let called = line.strip_prefix("cfn=");
        if let Some(function) = called.or_else(|| line.strip_prefix("fn=")) {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if !name.is_empty() {
                meant.insert(number, is_meant(name));
            }
            if called.is_some() {
                is_called = meant.get(number).copied().unwrap_or(false);
            }
        } else if line.starts_with("calls=") {
            // The line after has the place of the call, and what it cost in all.
            let cost = lines.next().and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
            sum += cost.filter(|_| is_called).unwrap_or_default();
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
# callgrind format
events: Ir
summary: 4711

fn=(1) get
3 100
cfn=(2) metrics::begin
calls=10 7
+1 250
cfn=(3) read
calls=10 9
* 4000

fn=(2)
7 250

fn=(4) other
1 1
cfn=(2)
calls=2 7
1 50

totals: 4711
";

    #[test]
    fn the_total_is_found() {
        assert_eq!(total(PROFILE), Some(4_711));
        assert_eq!(total("# callgrind format\n"), None);
    }

    #[test]
    fn calls_are_summed_whoever_makes_them() {
        assert_eq!(within(PROFILE, |name| name.contains("begin")), 300);
        assert_eq!(within(PROFILE, |name| name == "read"), 4_000);
        assert_eq!(within(PROFILE, |_| false), 0);
    }
}
