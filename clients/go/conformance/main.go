// Command conformance drives the client for the conformance suite: it reads a request a line, calls the client, and answers with
// a line. 64-bit integers are text on both sides.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	cofferdam "github.com/cofferdam/cofferdam/clients/go"
)

// The types of a bot, which are not the client's: they have the same fields, and tags of their own.
type messageState struct {
	ID                int64   `json:"id,string"`
	ChannelID         string  `json:"channel_id"`
	ThreadID          *string `json:"thread_id"`
	LastMessageID     string  `json:"last_message_id"`
	LastSeenTimestamp int64   `json:"last_seen_timestamp,string"`
	CreatedAt         int64   `json:"created_at,string"`
	UpdatedAt         int64   `json:"updated_at,string"`
}

type threadOwnership struct {
	ID             int64  `json:"id,string"`
	ThreadID       string `json:"thread_id"`
	OriginalUserID string `json:"original_user_id"`
	CreatedBy      string `json:"created_by"`
	CreationTime   int64  `json:"creation_time,string"`
	CreatedAt      int64  `json:"created_at,string"`
	UpdatedAt      int64  `json:"updated_at,string"`
}

// The interface of such a bot.
type storageService interface {
	Initialize(ctx context.Context) error
	Close() error
	GetMessageState(ctx context.Context, channelID string, threadID *string) (*messageState, error)
	UpsertMessageState(ctx context.Context, state *messageState) error
	GetAllMessageStates(ctx context.Context) ([]*messageState, error)
	GetMessageStatesWithinWindow(ctx context.Context, window time.Duration) ([]*messageState, error)
	HealthCheck(ctx context.Context) error
	GetThreadOwnership(ctx context.Context, threadID string) (*threadOwnership, error)
	UpsertThreadOwnership(ctx context.Context, ownership *threadOwnership) error
	GetAllThreadOwnerships(ctx context.Context) ([]*threadOwnership, error)
	CleanupOldThreadOwnerships(ctx context.Context, maxAge int64) error
}

type request struct {
	Operation   string           `json:"operation"`
	Address     string           `json:"address"`
	TokenFile   string           `json:"token_file"`
	Timeout     int64            `json:"timeout,string"`     // milliseconds, of each call
	Nanoseconds int64            `json:"nanoseconds,string"` // a window or an age
	Count       int              `json:"count"`
	ChannelID   string           `json:"channel_id"`
	ThreadID    *string          `json:"thread_id"`
	State       *messageState    `json:"state"`
	Ownership   *threadOwnership `json:"ownership"`
}

type driver struct {
	storage storageService
	timeout time.Duration
}

func (d *driver) answer(r request) (any, error) {
	if r.Operation == "new" {
		d.storage = cofferdam.For[messageState, threadOwnership](cofferdam.Options{Address: r.Address, TokenFile: r.TokenFile})
		d.timeout = time.Duration(r.Timeout) * time.Millisecond
		return nil, nil
	}
	var outcome cofferdam.Outcome
	ctx, cancel := context.WithTimeout(cofferdam.WithOutcome(context.Background(), &outcome), d.timeout)
	defer cancel()
	written := func(err error) (any, error) {
		return map[string]any{"result": outcome.Result, "removed": fmt.Sprint(outcome.Removed)}, err
	}
	switch r.Operation {
	case "initialize":
		return nil, d.storage.Initialize(ctx)
	case "close":
		return nil, d.storage.Close()
	case "health_check":
		return nil, d.storage.HealthCheck(ctx)
	case "get_message_state":
		return d.storage.GetMessageState(ctx, r.ChannelID, r.ThreadID)
	case "upsert_message_state":
		return written(d.storage.UpsertMessageState(ctx, r.State))
	case "get_all_message_states":
		return d.storage.GetAllMessageStates(ctx)
	case "get_message_states_within_window":
		return d.storage.GetMessageStatesWithinWindow(ctx, time.Duration(r.Nanoseconds))
	case "get_thread_ownership":
		return d.storage.GetThreadOwnership(ctx, *r.ThreadID)
	case "upsert_thread_ownership":
		return written(d.storage.UpsertThreadOwnership(ctx, r.Ownership))
	case "get_all_thread_ownerships":
		return d.storage.GetAllThreadOwnerships(ctx)
	case "cleanup_old_thread_ownerships":
		// Whole seconds, rounded up: the same moment where the clock stands at whole seconds, as the suite's does.
		age := r.Nanoseconds / int64(time.Second)
		if r.Nanoseconds%int64(time.Second) > 0 {
			age++
		}
		return written(d.storage.CleanupOldThreadOwnerships(ctx, age))
	case "at_once":
		return nil, d.atOnce(ctx, r.Count)
	}
	return nil, errors.New("unknown operation " + r.Operation)
}

// Writes and reads back states on one client from many goroutines.
func (d *driver) atOnce(ctx context.Context, count int) error {
	failures := make([]error, count)
	var tasks sync.WaitGroup
	for number := 0; number < count; number++ {
		tasks.Add(1)
		go func(number int) {
			defer tasks.Done()
			state := messageState{ChannelID: fmt.Sprintf("c%d", number), LastMessageID: fmt.Sprintf("m%d", number)}
			for round := int64(0); round < 5; round++ {
				state.LastSeenTimestamp = round
				if err := d.storage.UpsertMessageState(ctx, &state); err != nil {
					failures[number] = err
					return
				}
				found, err := d.storage.GetMessageState(ctx, state.ChannelID, nil)
				if err == nil && (found.LastMessageID != state.LastMessageID || found.LastSeenTimestamp != round) {
					err = fmt.Errorf("%v is answered with %v", state, *found)
				}
				if err != nil {
					failures[number] = err
					return
				}
			}
		}(number)
	}
	tasks.Wait()
	for _, failure := range failures {
		if failure != nil {
			return failure
		}
	}
	return nil
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	driver := new(driver)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		value, err := driver.answer(r)
		answer := map[string]any{"value": value}
		if err != nil {
			failure := new(cofferdam.Error)
			if !errors.As(err, &failure) {
				failure.Kind, failure.Detail = "unknown", err.Error()
			}
			answer = map[string]any{"error": failure}
		}
		if err := answers.Encode(answer); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
