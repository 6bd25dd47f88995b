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
	"strconv"
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
	http    *http.Client
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
	return &Client[S, O]{options: options, http: &http.Client{Transport: transport}}
}

// Initialize opens the client. Until it has succeeded, the other operations fail with not-initialized.
func (c *Client[S, O]) Initialize(ctx context.Context) error {
	err := c.retried(ctx, "POST", "/v1/initialize", nil, nil)
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
	return c.retried(context.Background(), "POST", "/v1/close", nil, nil)
}

// HealthCheck checks the server and its database as they are now: it is not retried.
func (c *Client[S, O]) HealthCheck(ctx context.Context) error {
	return c.get(ctx, "/v1/health", url.Values{}, nil)
}

// GetMessageState returns the state of exactly this channel and thread, or nil. A nil threadID matches only the state without a
// thread.
func (c *Client[S, O]) GetMessageState(ctx context.Context, channelID string, threadID *string) (*S, error) {
	query := url.Values{"channel_id": {channelID}}
	if threadID != nil {
		query.Set("thread_id", *threadID)
	}
	var answer struct{ State *MessageState }
	err := c.get(ctx, "/v1/message-state", query, &answer)
	return convert[S](answer.State), err
}

// UpsertMessageState inserts or updates a state; the last write to arrive wins. A CreatedAt of 0 means now.
func (c *Client[S, O]) UpsertMessageState(ctx context.Context, state *S) error {
	row := convert[MessageState](state)
	ids := []string{row.ChannelID, row.LastMessageID}
	if row.ThreadID != nil {
		ids = append(ids, *row.ThreadID)
	}
	return c.write(ctx, "PUT", "/v1/message-state", row, ids...)
}

// GetAllMessageStates returns all states, the newest first.
func (c *Client[S, O]) GetAllMessageStates(ctx context.Context) ([]*S, error) {
	return c.states(ctx, url.Values{})
}

// GetMessageStatesWithinWindow returns the states last seen since floor(now - window), the newest first.
func (c *Client[S, O]) GetMessageStatesWithinWindow(ctx context.Context, window time.Duration) ([]*S, error) {
	return c.states(ctx, url.Values{"window": {fmt.Sprintf("%dns", int64(window))}})
}

// GetThreadOwnership returns the ownership of this thread, or nil.
func (c *Client[S, O]) GetThreadOwnership(ctx context.Context, threadID string) (*O, error) {
	var answer struct{ Ownership *ThreadOwnership }
	err := c.get(ctx, "/v1/thread-ownership", url.Values{"thread_id": {threadID}}, &answer)
	return convert[O](answer.Ownership), err
}

// UpsertThreadOwnership inserts or updates an ownership; the last write to arrive wins.
func (c *Client[S, O]) UpsertThreadOwnership(ctx context.Context, ownership *O) error {
	row := convert[ThreadOwnership](ownership)
	return c.write(ctx, "PUT", "/v1/thread-ownership", row, row.ThreadID, row.OriginalUserID, row.CreatedBy)
}

// GetAllThreadOwnerships returns all ownerships, the newest first.
func (c *Client[S, O]) GetAllThreadOwnerships(ctx context.Context) ([]*O, error) {
	var answer struct{ Ownerships []*ThreadOwnership }
	err := c.get(ctx, "/v1/thread-ownerships", url.Values{}, &answer)
	return convertAll[O](answer.Ownerships), err
}

// CleanupOldThreadOwnerships removes the ownerships that were created more than maxAge seconds ago. 0 or less is invalid-input.
func (c *Client[S, O]) CleanupOldThreadOwnerships(ctx context.Context, maxAge int64) error {
	const longest = int64(1<<63-1) / int64(time.Second) // of the server's durations
	age := fmt.Sprintf("%ds", min(maxAge, longest))
	return c.write(ctx, "POST", "/v1/thread-ownerships/cleanup", map[string]string{"max_age": age})
}

func (c *Client[S, O]) states(ctx context.Context, query url.Values) ([]*S, error) {
	var answer struct{ States []*MessageState }
	err := c.get(ctx, "/v1/message-states", query, &answer)
	return convertAll[S](answer.States), err
}

func (c *Client[S, O]) get(ctx context.Context, path string, query url.Values, answer any) error {
	if err := c.check(query.Get("channel_id"), query.Get("thread_id")); err != nil {
		return err
	}
	return c.retried(ctx, "GET", path+"?"+query.Encode(), nil, answer)
}

func (c *Client[S, O]) write(ctx context.Context, method, path string, row any, ids ...string) error {
	if err := c.check(ids...); err != nil {
		return err
	}
	body, err := json.Marshal(row)
	if err != nil {
		return err
	}
	outcome, ok := ctx.Value(outcomeKey{}).(*Outcome)
	if !ok {
		outcome = new(Outcome)
	}
	return c.retried(ctx, method, path, body, outcome)
}

// Refuses what JSON would change, and what would not fit into a request. All other rules are the server's.
func (c *Client[S, O]) check(ids ...string) error {
	if !c.open.Load() {
		return &Error{Kind: "not-initialized", Detail: "the client is not open: call Initialize"}
	}
	for _, id := range ids {
		if !utf8.ValidString(id) || utf8.RuneCountInString(id) > 255 {
			return &Error{Kind: "invalid-input", Detail: "an id is not UTF-8, or has more than 255 characters"}
		}
	}
	return nil
}

// Repeats a request while the server says that it may help and the deadline leaves time. All operations are idempotent.
func (c *Client[S, O]) retried(ctx context.Context, method, path string, body []byte, answer any) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.options.Timeout)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	once := path == "/v1/close" || strings.HasPrefix(path, "/v1/health")
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		wait, failure := c.attempt(ctx, method, path, body, answer)
		if failure == nil {
			return nil
		}
		if wait < pause {
			wait = pause
		}
		if once || !failure.Retryable || ctx.Err() != nil || time.Until(deadline) <= wait {
			return failure
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// Also returns how long the server wants the next attempt to wait.
func (c *Client[S, O]) attempt(ctx context.Context, method, path string, body []byte, answer any) (time.Duration, *Error) {
	request, err := http.NewRequestWithContext(ctx, method, c.options.Address+path, bytes.NewReader(body))
	if err != nil {
		return 0, &Error{Kind: "invalid-input", Detail: err.Error(), cause: err}
	}
	deadline, _ := ctx.Deadline()
	request.Header.Set("Cofferdam-Timeout", fmt.Sprintf("%dms", time.Until(deadline).Milliseconds()+1))
	request.Header.Set("Content-Type", "application/json")
	if c.options.TokenFile != "" {
		token, err := os.ReadFile(c.options.TokenFile)
		if err != nil {
			return 0, &Error{Kind: "unauthorized", Detail: err.Error(), cause: err}
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
		return 0, &Error{Kind: "timeout", Detail: detail, Retryable: true, cause: ctx.Err()}
	} else if err != nil {
		return 0, &Error{Kind: "unavailable", Detail: err.Error(), Retryable: true, cause: err}
	}
	if response.StatusCode/100 != 2 {
		// What is not from the server itself may pass.
		failure := &Error{Kind: "unavailable", Detail: response.Status, Retryable: response.StatusCode >= 500}
		_ = json.Unmarshal(text, failure)
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, failure
	}
	if answer != nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		return 0, &Error{Kind: "internal", Detail: "the answer cannot be understood: " + err.Error(), cause: err}
	}
	return 0, nil
}

func min[T ~int64](one, other T) T {
	if one < other {
		return one
	}
	return other
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
