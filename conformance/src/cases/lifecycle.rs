//! Initialising, closing, and using what is not open.

use std::time::Duration;

use cofferdam::ErrorKind::NotInitialized;

use super::{Case, NOW, Outcome, assert_kind, keys, ownership, state};
use crate::Subject;

pub(super) const UNINITIALIZED: &[Case] = cases![Uninitialized:
    message_operations_before_initialize_say_not_initialized,
    ownership_operations_before_initialize_say_not_initialized,
    transfer_before_initialize_says_not_initialized,
    health_check_before_initialize_says_not_initialized,
    close_before_initialize_is_harmless,
    initialize_works_after_a_close_that_came_first,
];

pub(super) const CASES: &[Case] = cases![Initialized:
    a_new_database_is_empty,
    health_check_succeeds_when_open,
    initialize_twice_is_harmless,
    initialize_again_keeps_the_data,
    close_twice_is_harmless,
    message_operations_after_close_say_not_initialized,
    ownership_operations_after_close_say_not_initialized,
    transfer_after_close_says_not_initialized,
    health_check_after_close_says_not_initialized,
    initialize_after_close_opens_again_with_the_data_still_there,
    opening_and_closing_many_times_keeps_the_data,
];

async fn assert_messages_closed(s: &Subject) {
    assert_kind(&s.get_message_state("c", None).await, NotInitialized);
    assert_kind(&s.upsert_message_state(&state("c", None, "m", NOW)).await, NotInitialized);
    assert_kind(&s.get_all_message_states().await, NotInitialized);
    assert_kind(&s.get_message_states_within_window(Duration::from_secs(300)).await, NotInitialized);
}

async fn assert_ownerships_closed(s: &Subject) {
    assert_kind(&s.get_thread_ownership("t").await, NotInitialized);
    assert_kind(&s.upsert_thread_ownership(&ownership("t", NOW)).await, NotInitialized);
    assert_kind(&s.get_all_thread_ownerships().await, NotInitialized);
    assert_kind(&s.cleanup_old_thread_ownerships(Duration::from_secs(60)).await, NotInitialized);
}

async fn assert_transfer_closed(s: &Subject) {
    assert_kind(&s.export_message_states(None, 10).await, NotInitialized);
    assert_kind(&s.import_message_states(&[state("c", None, "m", NOW)]).await, NotInitialized);
    assert_kind(&s.export_thread_ownerships(None, 10).await, NotInitialized);
    assert_kind(&s.import_thread_ownerships(&[ownership("t", NOW)]).await, NotInitialized);
}

async fn message_operations_before_initialize_say_not_initialized(s: &Subject) -> Outcome {
    assert_messages_closed(s).await;
    Ok(())
}

async fn ownership_operations_before_initialize_say_not_initialized(s: &Subject) -> Outcome {
    assert_ownerships_closed(s).await;
    Ok(())
}

async fn transfer_before_initialize_says_not_initialized(s: &Subject) -> Outcome {
    assert_transfer_closed(s).await;
    Ok(())
}

async fn health_check_before_initialize_says_not_initialized(s: &Subject) -> Outcome {
    assert_kind(&s.health_check().await, NotInitialized);
    Ok(())
}

async fn close_before_initialize_is_harmless(s: &Subject) -> Outcome {
    s.close().await?;
    Ok(())
}

async fn initialize_works_after_a_close_that_came_first(s: &Subject) -> Outcome {
    s.close().await?;
    s.initialize().await?;
    s.health_check().await?;
    Ok(())
}

async fn a_new_database_is_empty(s: &Subject) -> Outcome {
    assert_eq!(s.get_all_message_states().await?, []);
    assert_eq!(s.get_all_thread_ownerships().await?, []);
    assert_eq!(s.get_message_state("c", None).await?, None);
    assert_eq!(s.get_thread_ownership("t").await?, None);
    Ok(())
}

async fn health_check_succeeds_when_open(s: &Subject) -> Outcome {
    s.health_check().await?;
    s.upsert_message_state(&state("c", None, "m", NOW)).await?;
    s.health_check().await?;
    Ok(())
}

async fn initialize_twice_is_harmless(s: &Subject) -> Outcome {
    s.initialize().await?;
    s.health_check().await?;
    Ok(())
}

async fn initialize_again_keeps_the_data(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", Some("t"), "m", NOW)).await?;
    s.upsert_thread_ownership(&ownership("t", NOW)).await?;
    let before = (s.get_all_message_states().await?, s.get_all_thread_ownerships().await?);
    s.initialize().await?;
    assert_eq!((s.get_all_message_states().await?, s.get_all_thread_ownerships().await?), before);
    Ok(())
}

async fn close_twice_is_harmless(s: &Subject) -> Outcome {
    s.close().await?;
    s.close().await?;
    Ok(())
}

async fn message_operations_after_close_say_not_initialized(s: &Subject) -> Outcome {
    s.close().await?;
    assert_messages_closed(s).await;
    Ok(())
}

async fn ownership_operations_after_close_say_not_initialized(s: &Subject) -> Outcome {
    s.close().await?;
    assert_ownerships_closed(s).await;
    Ok(())
}

async fn transfer_after_close_says_not_initialized(s: &Subject) -> Outcome {
    s.close().await?;
    assert_transfer_closed(s).await;
    Ok(())
}

async fn health_check_after_close_says_not_initialized(s: &Subject) -> Outcome {
    s.close().await?;
    assert_kind(&s.health_check().await, NotInitialized);
    Ok(())
}

async fn initialize_after_close_opens_again_with_the_data_still_there(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", NOW)).await?;
    s.upsert_thread_ownership(&ownership("t", NOW)).await?;
    let before = (s.get_all_message_states().await?, s.get_all_thread_ownerships().await?);
    s.close().await?;
    s.initialize().await?;
    s.health_check().await?;
    assert_eq!((s.get_all_message_states().await?, s.get_all_thread_ownerships().await?), before);
    Ok(())
}

async fn opening_and_closing_many_times_keeps_the_data(s: &Subject) -> Outcome {
    for round in 0..8 {
        s.upsert_message_state(&state("c", Some(&format!("t{round}")), "m", NOW)).await?;
        s.close().await?;
        s.initialize().await?;
    }
    let rows = s.get_all_message_states().await?;
    let expected = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"].map(|thread| ("c", Some(thread)));
    assert_eq!(keys(&rows), expected);
    Ok(())
}
