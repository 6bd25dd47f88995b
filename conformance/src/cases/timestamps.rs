//! Timestamps are whole seconds as 64-bit integers, kept as given.

use cofferdam::{MessageState, ThreadOwnership};

use super::{Case, NOW, Outcome, ownership, state};
use crate::Subject;

pub(super) const CASES: &[Case] = cases![Initialized:
    every_last_seen_time_is_kept,
    every_created_at_but_zero_is_kept,
    every_creation_time_is_kept,
    every_time_survives_an_import,
    now_is_whole_seconds_of_the_clock,
    a_clock_at_zero_works,
    a_clock_far_in_the_future_works,
];

const TIMES: [i64; 13] = [
    i64::MIN,
    i64::MIN + 1,
    -62_135_596_800,
    -2_147_483_649,
    -1,
    0,
    1,
    2_147_483_648,
    4_294_967_296,
    9_007_199_254_740_993,
    253_402_300_800,
    i64::MAX - 1,
    i64::MAX,
];

async fn every_last_seen_time_is_kept(s: &Subject) -> Outcome {
    for time in TIMES {
        s.upsert_message_state(&state("c", None, "m", time)).await?;
        let row = s.get_message_state("c", None).await?;
        assert_eq!(row.map(|row| row.last_seen_timestamp), Some(time));
    }
    Ok(())
}

async fn every_created_at_but_zero_is_kept(s: &Subject) -> Outcome {
    for time in TIMES {
        let channel = time.to_string();
        s.upsert_message_state(&MessageState { created_at: time, ..state(&channel, None, "m", NOW) }).await?;
        let row = s.get_message_state(&channel, None).await?;
        assert_eq!(row.map(|row| row.created_at), Some(if time == 0 { NOW } else { time }));
    }
    Ok(())
}

async fn every_creation_time_is_kept(s: &Subject) -> Outcome {
    for time in TIMES {
        s.upsert_thread_ownership(&ownership("t", time)).await?;
        let row = s.get_thread_ownership("t").await?;
        assert_eq!(row.map(|row| row.creation_time), Some(time));
    }
    Ok(())
}

async fn every_time_survives_an_import(s: &Subject) -> Outcome {
    for time in TIMES {
        let (id, times) = (time.to_string(), (time, time, time));
        let written = MessageState { created_at: time, updated_at: time, ..state(&id, None, "m", time) };
        s.import_message_states(&[written]).await?;
        let row = s.get_message_state(&id, None).await?;
        assert_eq!(row.map(|row| (row.last_seen_timestamp, row.created_at, row.updated_at)), Some(times));
        let written = ThreadOwnership { created_at: time, updated_at: time, ..ownership(&id, time) };
        s.import_thread_ownerships(&[written]).await?;
        let row = s.get_thread_ownership(&id).await?;
        assert_eq!(row.map(|row| (row.creation_time, row.created_at, row.updated_at)), Some(times));
    }
    Ok(())
}

async fn assert_now(s: &Subject, now: i64) -> Outcome {
    s.clock().set(now);
    let id = now.to_string();
    s.upsert_message_state(&state(&id, None, "m", 1)).await?;
    let row = s.get_message_state(&id, None).await?;
    assert_eq!(row.map(|row| (row.created_at, row.updated_at)), Some((now, now)));
    s.upsert_thread_ownership(&ownership(&id, 1)).await?;
    let row = s.get_thread_ownership(&id).await?;
    assert_eq!(row.map(|row| (row.created_at, row.updated_at)), Some((now, now)));
    Ok(())
}

async fn now_is_whole_seconds_of_the_clock(s: &Subject) -> Outcome {
    for now in [NOW, NOW + 1, NOW - 1] {
        assert_now(s, now).await?;
    }
    Ok(())
}

async fn a_clock_at_zero_works(s: &Subject) -> Outcome {
    assert_now(s, 0).await
}

async fn a_clock_far_in_the_future_works(s: &Subject) -> Outcome {
    assert_now(s, 2_147_483_648).await?;
    assert_now(s, 253_402_300_800).await
}
