// Package cofferdam keeps a bot's state through a `cofferdam serve` process: the eleven operations of the bot's own interface,
// with retries within the caller's deadline.
package cofferdam

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Options say where the server is. Address is what it prints: unix:/run/bot/cofferdam.sock or http://127.0.0.1:8080. TokenFile
// has the token of a server on TCP; it is read for each request, so that the token can be exchanged. Timeout is for Close and
// for contexts without a deadline; 0 means 30 seconds.
type Options struct {
	Address, TokenFile string
	Timeout            time.Duration
}

// Client is for any number of goroutines. S and O are the bot's types of states and ownerships.
type Client[S, O any] struct {
	options Options
	http    http.Client
	open    atomic.Bool
}

// New returns a client with the types of this package.
func New(options Options) *Client[MessageState, ThreadOwnership] {
	return For[MessageState, ThreadOwnership](options)
}

// For returns a client with a bot's own types. It panics unless they have the fields of MessageState and of ThreadOwnership in
// their order; tags do not matter.
func For[S, O any](options Options) *Client[S, O] {
	convert[MessageState](new(S))
	convert[ThreadOwnership](new(O))
	if options.Timeout <= 0 {
		options.Timeout = 30 * time.Second
	}
	transport := &http.Transport{MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}
	if path := strings.TrimPrefix(options.Address, "unix:"); path != options.Address {
		options.Address = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	return &Client[S, O]{options: options, http: http.Client{Transport: transport}}
}

// Initialize opens the client. Until it has succeeded, the other operations fail with not-initialized.
func (c *Client[S, O]) Initialize(ctx context.Context) error {
	_, err := c.call(ctx, "POST", "/v1/initialize", nil)
	if err == nil {
		c.open.Store(true)
	}
	return err
}

// Close waits until the database has the writes that the server has accepted, and closes the client; the server's storage stays
// open. What waits longer is kept in the server's spool. Closing twice is harmless, and Initialize opens the client again.
func (c *Client[S, O]) Close() error {
	if !c.open.Swap(false) {
		return nil
	}
	defer c.http.CloseIdleConnections()
	_, err := c.call(context.Background(), "POST", "/v1/close", nil)
	return err
}

// HealthCheck checks the server and its database as they are now: it is not retried.
func (c *Client[S, O]) HealthCheck(ctx context.Context) error {
	_, err := c.call(ctx, "GET", "/v1/health", nil)
	return err
}

// GetMessageState returns the state of exactly this channel and thread, or nil. A nil threadID matches only the state without a
// thread.
func (c *Client[S, O]) GetMessageState(ctx context.Context, channelID string, threadID *string) (*S, error) {
	query := url.Values{"channel_id": {channelID}}
	if threadID != nil {
		query.Set("thread_id", *threadID)
	}
	answer, err := c.call(ctx, "GET", "/v1/message-state?"+query.Encode(), nil, &channelID, threadID)
	return convert[S](answer.State), err
}

// UpsertMessageState inserts or updates a state; the last write to arrive wins. A CreatedAt of 0 means now.
func (c *Client[S, O]) UpsertMessageState(ctx context.Context, state *S) error {
	row := convert[MessageState](state)
	_, err := c.call(ctx, "PUT", "/v1/message-state", row, &row.ChannelID, row.ThreadID, &row.LastMessageID)
	return err
}

// GetAllMessageStates returns all states, the newest first.
func (c *Client[S, O]) GetAllMessageStates(ctx context.Context) ([]*S, error) {
	answer, err := c.call(ctx, "GET", "/v1/message-states", nil)
	return convertAll[S](answer.States), err
}

// GetMessageStatesWithinWindow returns the states last seen since floor(now - window), the newest first.
func (c *Client[S, O]) GetMessageStatesWithinWindow(ctx context.Context, window time.Duration) ([]*S, error) {
	answer, err := c.call(ctx, "GET", fmt.Sprintf("/v1/message-states?window=%dns", window), nil)
	return convertAll[S](answer.States), err
}

// GetThreadOwnership returns the ownership of this thread, or nil.
func (c *Client[S, O]) GetThreadOwnership(ctx context.Context, threadID string) (*O, error) {
	answer, err := c.call(ctx, "GET", "/v1/thread-ownership?thread_id="+url.QueryEscape(threadID), nil, &threadID)
	return convert[O](answer.Ownership), err
}

// UpsertThreadOwnership inserts or updates an ownership; the last write to arrive wins.
func (c *Client[S, O]) UpsertThreadOwnership(ctx context.Context, ownership *O) error {
	row := convert[ThreadOwnership](ownership)
	_, err := c.call(ctx, "PUT", "/v1/thread-ownership", row, &row.ThreadID, &row.OriginalUserID, &row.CreatedBy)
	return err
}

// GetAllThreadOwnerships returns all ownerships, the newest first.
func (c *Client[S, O]) GetAllThreadOwnerships(ctx context.Context) ([]*O, error) {
	answer, err := c.call(ctx, "GET", "/v1/thread-ownerships", nil)
	return convertAll[O](answer.Ownerships), err
}

// CleanupOldThreadOwnerships removes the ownerships that were created more than maxAge seconds ago. 0 or less is invalid-input.
func (c *Client[S, O]) CleanupOldThreadOwnerships(ctx context.Context, maxAge int64) error {
	const longest = int64(1<<63-1) / int64(time.Second) // of the server's durations
	if maxAge > longest {
		maxAge = longest
	}
	body := map[string]string{"max_age": fmt.Sprintf("%ds", maxAge)}
	_, err := c.call(ctx, "POST", "/v1/thread-ownerships/cleanup", body)
	return err
}

// Repeats a request while the server says that it may help and the deadline leaves time: all operations are idempotent. Refuses
// ids that JSON would change, or that would not fit; all other rules are the server's.
func (c *Client[S, O]) call(ctx context.Context, method, path string, row any, ids ...*string) (found answer, _ error) {
	once := path == "/v1/close" || path == "/v1/health"
	if !c.open.Load() && path != "/v1/initialize" && path != "/v1/close" {
		return found, &Error{Kind: "not-initialized", Detail: "the client is not open: call Initialize"}
	}
	for _, id := range ids {
		if id != nil && (!utf8.ValidString(*id) || utf8.RuneCountInString(*id) > 255) {
			return found, &Error{Kind: "invalid-input", Detail: "an id is not UTF-8, or has more than 255 characters"}
		}
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.options.Timeout)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	found.Outcome, _ = ctx.Value(outcomeKey{}).(*Outcome)
	for {
		failure := c.attempt(ctx, method, path, row, &found)
		if failure == nil {
			return found, nil
		}
		if once || !failure.Retryable || ctx.Err() != nil || time.Until(deadline) <= failure.wait {
			return found, failure
		}
		select {
		case <-time.After(failure.wait):
		case <-ctx.Done():
		}
	}
}

func (c *Client[S, O]) attempt(ctx context.Context, method, path string, row any, found *answer) *Error {
	var body []byte
	if row != nil {
		body, _ = json.Marshal(row) // texts and numbers
	}
	request, err := http.NewRequestWithContext(ctx, method, c.options.Address+path, bytes.NewReader(body))
	if err != nil {
		return &Error{Kind: "invalid-input", Detail: err.Error(), cause: err}
	}
	deadline, _ := ctx.Deadline()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Cofferdam-Timeout", fmt.Sprintf("%dms", time.Until(deadline).Milliseconds()+1))
	if c.options.TokenFile != "" {
		token, err := os.ReadFile(c.options.TokenFile)
		if err != nil {
			return &Error{Kind: "unauthorized", Detail: err.Error(), cause: err}
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	var text []byte
	response, err := c.http.Do(request)
	if err == nil {
		defer response.Body.Close()
		text, err = io.ReadAll(response.Body)
	}
	if err != nil && ctx.Err() != nil {
		detail := "no answer in time; whether a write took effect is unknown"
		return &Error{Kind: "timeout", Detail: detail, Retryable: true, cause: ctx.Err()}
	} else if err != nil {
		return &Error{Kind: "unavailable", Detail: err.Error(), Retryable: true, cause: err, wait: pause}
	}
	if response.StatusCode/100 == 2 {
		if err = json.Unmarshal(text, found); err == nil {
			return nil
		}
	}
	// What is not from the server itself may pass.
	failure := &Error{Kind: "unavailable", Detail: response.Status, Retryable: response.StatusCode >= 500, cause: err}
	_ = json.Unmarshal(text, failure)
	if failure.wait, err = time.ParseDuration(response.Header.Get("Retry-After") + "s"); err != nil {
		failure.wait = pause
	}
	return failure
}

func convert[To, From any](from *From) *To {
	return reflect.ValueOf(from).Convert(reflect.TypeOf((*To)(nil))).Interface().(*To)
}

func convertAll[To, From any](from []*From) []*To {
	to := make([]*To, len(from))
	for place, row := range from {
		to[place] = convert[To](row)
	}
	return to
}
