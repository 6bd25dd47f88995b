package cofferdam

import (
	"context"
	"time"
)

// Before the next attempt, where the server does not say.
const pause = 200 * time.Millisecond

// MessageState is the last message that the bot processed in one channel or thread. Times are whole seconds since the Unix
// epoch.
type MessageState struct {
	ID                int64   `json:"id"`
	ChannelID         string  `json:"channel_id"`
	ThreadID          *string `json:"thread_id"`
	LastMessageID     string  `json:"last_message_id"`
	LastSeenTimestamp int64   `json:"last_seen_timestamp"`
	CreatedAt         int64   `json:"created_at"`
	UpdatedAt         int64   `json:"updated_at"`
}

// ThreadOwnership is a thread that the bot created and answers in without being mentioned.
type ThreadOwnership struct {
	ID             int64  `json:"id"`
	ThreadID       string `json:"thread_id"`
	OriginalUserID string `json:"original_user_id"`
	CreatedBy      string `json:"created_by"`
	CreationTime   int64  `json:"creation_time"`
	CreatedAt      int64  `json:"created_at"`
	UpdatedAt      int64  `json:"updated_at"`
}

// Error is a failed operation. Decide by Kind and Retryable; Detail is for people.
type Error struct {
	// Kind is one of those in docs/serve.md.
	Kind      string `json:"kind"`
	Detail    string `json:"detail"`
	Retryable bool   `json:"retryable"`
	// Code is the database's own, such as 1062, or empty.
	Code string `json:"code"`
	// RequestID is in the server's log too.
	RequestID string `json:"request_id"`
	cause     error
	wait      time.Duration
}

// Error says it in a sentence.
func (e *Error) Error() string { return e.Kind + ": " + e.Detail }

// Unwrap returns the cause if it was here, such as context.DeadlineExceeded.
func (e *Error) Unwrap() error { return e.cause }

// Outcome is what became of a write. Result is "stored", or "spooled" for one that is durable in the server's spool and reaches
// the database later. Removed is how many ownerships a cleanup has removed.
type Outcome struct {
	Result  string `json:"result"`
	Removed int64  `json:"removed"`
}

type outcomeKey struct{}

// WithOutcome returns a context with which a write also says what became of it.
func WithOutcome(ctx context.Context, outcome *Outcome) context.Context {
	return context.WithValue(ctx, outcomeKey{}, outcome)
}

// What the server answers with: a write has an outcome, a read one of the others.
type answer struct {
	*Outcome
	State      *MessageState
	States     []*MessageState
	Ownership  *ThreadOwnership
	Ownerships []*ThreadOwnership
}
