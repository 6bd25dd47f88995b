use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;
use crate::sql::Value;
use crate::sql::mysql::groups::row::Reply;

fn lane() -> Lane {
    let part = |text: &str| text.to_owned();
    let batch = BatchText { head: part("INSERT INTO t VALUES "), row: part("(?)"), between: part(","), tail: part("") };
    Lane::new(&batch)
}

fn queue(lane: &mut Lane, rows: impl IntoIterator<Item = (u64, Vec<Value>)>) -> Vec<oneshot::Receiver<Reply>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let push = |(number, parameters)| {
        let (done, answer) = oneshot::channel();
        lane.waiting.push_back(Row::new(number, parameters, deadline, done));
        answer
    };
    rows.into_iter().map(push).collect()
}

fn numbers(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.number).collect()
}

#[test]
fn there_are_few_numbers_of_rows_and_none_leaves_many_behind() {
    let steps: std::collections::BTreeSet<_> = (1..=1000).map(step).collect();
    assert_eq!(steps.len(), 24, "{steps:?}");
    assert_eq!((step(0), step(1), step(7), step(9), step(15), step(63), step(1000)), (0, 1, 7, 8, 14, 56, MOST));
    for rows in 1..=MOST {
        assert!(step(rows) <= rows && step(rows) * 5 > rows * 4, "{rows}");
    }
}

#[test]
fn a_third_one_waits_and_goes_when_both_have_ended() {
    let mut lane = lane();
    // So long that nobody is waited for in vain.
    lane.typical = Duration::from_secs(3600);
    let (one, other) = (lane.enter_alone().unwrap(), lane.enter_alone().unwrap());
    assert!(lane.enter_alone().is_none());
    let _answers = queue(&mut lane, [(1, vec![Value::Null])]);
    assert!(!lane.is_due(10));
    lane.leave_alone(one);
    assert!(!lane.is_due(10) && lane.enter_alone().is_none());
    lane.leave_alone(other);
    assert!(lane.is_due(10));
}

#[test]
fn a_group_has_rows_that_fit_together() {
    let mut lane = lane();
    let long = Value::Text("x".repeat(BYTES));
    let rows = [vec![Value::Null], vec![Value::Integer(1)], vec![long], vec![Value::Null], vec![], vec![Value::Null]];
    let _answers = queue(&mut lane, (1..).zip(rows));
    for expected in [vec![1, 2], vec![3], vec![4], vec![5], vec![6]] {
        lane.departing += 1;
        assert_eq!(numbers(&lane.take(Duration::ZERO)), expected);
    }
    lane.departing += 1;
    assert!(lane.take(Duration::ZERO).is_empty());
}

#[test]
fn what_is_given_up_on_its_way_is_held_until_it_has_ended() {
    let (mut lane, fence) = (lane(), Arc::new(Fence::default()));
    let mut answers = queue(&mut lane, (1..=4).map(|number| (number, vec![Value::Null])));
    assert!(matches!(lane.leave(2, &fence), (false, Some(_))));
    answers.remove(1);
    let _more = queue(&mut lane, [(5, vec![Value::Null])]);
    lane.departing += 1;
    let rows = lane.take(Duration::ZERO);
    assert_eq!(numbers(&rows), [1, 3, 4, 5]);
    assert!(matches!(lane.leave(3, &fence), (false, None)));
    assert!(!fence.is_up());
    lane.begin(1, &rows);
    let before = fence.epoch();
    assert!(matches!(lane.leave(4, &fence), (true, None)));
    assert!(fence.is_up() && fence.epoch() != before);
    lane.settle(1, End::Refused);
    assert!(!fence.is_up());
}

#[test]
fn a_server_that_is_far_away_is_waited_for_longer() {
    let mut lane = lane();
    for expected in [500, 1000, 2000, 2000] {
        lane.settle(1, End::Unanswered);
        assert_eq!(lane.patience(), Duration::from_millis(expected));
    }
    for _ in 0..100 {
        lane.settle(1, End::Done(Duration::from_millis(60)));
    }
    assert!((550..=600).contains(&lane.patience().as_millis()), "{:?}", lane.patience());
}

#[test]
fn while_one_group_travels_others_are_at_work() {
    let mut lane = lane();
    for (away, typical, expected) in [(0, 4, 1), (1, 5, 1), (2, 7, 2), (2, 4, 2), (3, 4, TOGETHER), (9, 4, TOGETHER)] {
        (lane.away, lane.typical) = (Duration::from_millis(away), Duration::from_millis(typical));
        assert_eq!(lane.together(), expected, "{away} of {typical}");
    }
    (lane.away, lane.typical) = (Duration::from_millis(2), Duration::from_millis(4));
    let _answers = queue(&mut lane, (1..=64).map(|number| (number, vec![Value::Null])));
    for expected in [32, 32] {
        assert!(lane.is_due(10));
        lane.departing += 1;
        let rows = lane.take(Duration::from_millis(2));
        lane.begin(rows[0].number, &rows);
        assert_eq!(rows.len(), expected);
    }
    let _more = queue(&mut lane, [(65, vec![Value::Null])]);
    assert!(!lane.is_due(10));
}

#[test]
fn one_who_waits_for_a_lock_alone_holds_up_no_group() {
    let mut lane = lane();
    lane.typical = Duration::ZERO;
    lane.enter_alone().unwrap();
    let _answers = queue(&mut lane, [(1, vec![Value::Null])]);
    std::thread::sleep(LEAST_WAIT);
    lane.waiting[0].since = StdInstant::now();
    assert!(lane.is_due(10));
}

#[test]
fn what_the_host_does_not_let_through_is_not_run_for_many() {
    let mut lane = lane();
    lane.batch.between = "; DROP TABLE t; ".to_owned();
    assert!(lane.text(1).is_some() && lane.text(2).is_none());
}
