/// The eleven operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are the operations of `StorageService`")]
pub enum Operation {
    Initialize,
    Close,
    GetMessageState,
    UpsertMessageState,
    GetAllMessageStates,
    GetMessageStatesWithinWindow,
    HealthCheck,
    GetThreadOwnership,
    UpsertThreadOwnership,
    GetAllThreadOwnerships,
    CleanupOldThreadOwnerships,
}

impl Operation {
    /// Every operation, in the order of `StorageService`.
    pub const ALL: [Self; 11] = [
        Self::Initialize,
        Self::Close,
        Self::GetMessageState,
        Self::UpsertMessageState,
        Self::GetAllMessageStates,
        Self::GetMessageStatesWithinWindow,
        Self::HealthCheck,
        Self::GetThreadOwnership,
        Self::UpsertThreadOwnership,
        Self::GetAllThreadOwnerships,
        Self::CleanupOldThreadOwnerships,
    ];

    /// The name of its method, such as `get_message_state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Close => "close",
            Self::GetMessageState => "get_message_state",
            Self::UpsertMessageState => "upsert_message_state",
            Self::GetAllMessageStates => "get_all_message_states",
            Self::GetMessageStatesWithinWindow => "get_message_states_within_window",
            Self::HealthCheck => "health_check",
            Self::GetThreadOwnership => "get_thread_ownership",
            Self::UpsertThreadOwnership => "upsert_thread_ownership",
            Self::GetAllThreadOwnerships => "get_all_thread_ownerships",
            Self::CleanupOldThreadOwnerships => "cleanup_old_thread_ownerships",
        }
    }

    /// The name with its table, such as `get_message_state message_states`: what spans are called.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Close => "close",
            Self::HealthCheck => "health_check",
            Self::GetMessageState => "get_message_state message_states",
            Self::UpsertMessageState => "upsert_message_state message_states",
            Self::GetAllMessageStates => "get_all_message_states message_states",
            Self::GetMessageStatesWithinWindow => "get_message_states_within_window message_states",
            Self::GetThreadOwnership => "get_thread_ownership thread_ownerships",
            Self::UpsertThreadOwnership => "upsert_thread_ownership thread_ownerships",
            Self::GetAllThreadOwnerships => "get_all_thread_ownerships thread_ownerships",
            Self::CleanupOldThreadOwnerships => "cleanup_old_thread_ownerships thread_ownerships",
        }
    }

    /// The table that it is about, if it is about one.
    pub fn table(self) -> Option<&'static str> {
        match self {
            Self::Initialize | Self::Close | Self::HealthCheck => None,
            Self::GetMessageState
            | Self::UpsertMessageState
            | Self::GetAllMessageStates
            | Self::GetMessageStatesWithinWindow => Some("message_states"),
            Self::GetThreadOwnership
            | Self::UpsertThreadOwnership
            | Self::GetAllThreadOwnerships
            | Self::CleanupOldThreadOwnerships => Some("thread_ownerships"),
        }
    }

    /// Whether it writes rows.
    pub fn is_write(self) -> bool {
        matches!(self, Self::UpsertMessageState | Self::UpsertThreadOwnership | Self::CleanupOldThreadOwnerships)
    }
}
