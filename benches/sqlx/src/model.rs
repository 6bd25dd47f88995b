//! The values that this contestant builds: the same fields as the host's.

/// The last message processed in a channel or thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageState {
    pub id: i64,
    pub channel_id: String,
    pub thread_id: Option<String>,
    pub last_message_id: String,
    pub last_seen_timestamp: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Who a thread was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadOwnership {
    pub id: i64,
    pub thread_id: String,
    pub original_user_id: String,
    pub created_by: String,
    pub creation_time: i64,
    pub created_at: i64,
    pub updated_at: i64,
}
