package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pullgate/pullgate/sync/publish"
)

// order is what `pullgate publish --accept` or `--rollback` wants of the publisher that has the state
// directory. It is left there as a file, and answered by another; both are gone afterwards.
type order struct {
	Accept   string `json:"accept,omitempty"`
	Rollback string `json:"rollback,omitempty"`
	Bundle   string `json:"bundle,omitempty"` // "" for whichever has the revision
	// Left is when it was left: one that nobody waits for any more is not carried out.
	Left time.Time `json:"left,omitzero"`
}

type orderAnswer struct {
	Error string `json:"error,omitempty"`
}

const (
	orderEvery   = 200 * time.Millisecond // how often the publisher looks for orders, and who waits for answers
	orderTimeout = time.Minute            // how long an answer is waited for
	// electionPatience is how long an order that a publisher is started with waits for its election.
	electionPatience = 3 * time.Second
	orderSuffix      = ".order"
	answerSuffix     = ".answer"
)

// ordersDir is where a state directory has orders.
func ordersDir(data string) string { return filepath.Join(data, "bundles", ".orders") }

func (o order) empty() bool { return o.Accept == "" && o.Rollback == "" }

// carryOut does what an order says.
func (o order) carryOut(ctx context.Context, p *publish.Publisher) error {
	if o.Rollback != "" {
		return p.Rollback(ctx, o.Bundle, o.Rollback)
	}
	return p.Accept(ctx, o.Bundle, o.Accept)
}

// leave leaves the order for the publisher that runs, and waits for its answer.
func (o order) leave(ctx context.Context, data string, stdout io.Writer) error {
	dir := ordersDir(data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	o.Left = time.Now()
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	base := filepath.Join(dir, uuid.NewString())
	if err := replaceFile(base+orderSuffix, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	for {
		text, err := os.ReadFile(base + answerSuffix)
		switch {
		case err == nil:
			_ = os.Remove(base + answerSuffix)
			var a orderAnswer
			if err := json.Unmarshal(text, &a); err != nil {
				return err
			}
			if a.Error != "" {
				return errors.New(a.Error)
			}
			fmt.Fprintln(stdout, "done")
			return nil
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		select {
		case <-time.After(orderEvery):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the publisher that uses --data %s has not answered; it may still do what it was told: see its log", data), os.Remove(base+orderSuffix))
		}
	}
}

// followOrders carries out the orders that are left, one after the other, until ctx is done.
func followOrders(ctx context.Context, data string, carryOut func(context.Context, order) error) error {
	dir := ordersDir(data)
	for {
		names, _ := filepath.Glob(filepath.Join(dir, "*"+orderSuffix))
		for _, name := range names {
			var o order
			text, err := os.ReadFile(name)
			if err == nil {
				err = json.Unmarshal(text, &o)
			}
			if removed := os.Remove(name); removed != nil {
				continue // who left it has taken it back
			}
			if err == nil && time.Since(o.Left) > orderTimeout {
				continue
			}
			if err == nil {
				err = carryOut(ctx, o)
			}
			var a orderAnswer
			if err != nil {
				a.Error = err.Error()
			}
			reply, _ := json.Marshal(a)
			_ = replaceFile(strings.TrimSuffix(name, orderSuffix)+answerSuffix, func(w io.Writer) error { _, err := w.Write(reply); return err })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(orderEvery):
		}
	}
}
