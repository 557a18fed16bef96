package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"sim/proto"
	simserver "sim/server" // main has a variable called server
	"sim/store"
)

const (
	maxBatchLine    = 4096 // bytes: a name, a tab and the longest password before it is prepared
	maxBatchWorkers = 16   // each takes the memory of an Argon2id
)

// batchLine is a line of a batch on its way through the workers.
type batchLine struct {
	number int
	text   []byte // cleared by its worker
	err    error  // of reading it
	made   chan *batchResult
}

type batchResult struct {
	name       proto.Name
	secret     secret
	credential simserver.Credential
	err        error
	hopeless   bool // the next line has no chance either: the disk is full, the server gone
}

func (r *batchResult) clear() {
	clear(r.secret.text)
	if r.credential.Verifier != nil {
		clear(r.credential.Verifier[:])
	}
}

// addBatch registers everybody in a file. The expensive part, Argon2id, is done for as many lines at once as there are cores; what is
// made of them is stored and told in the order of the lines, each before the next.
func (a *administration) addBatch(ctx context.Context, path string, source secretSource) error {
	file := a.stdin
	if path != "-" {
		f, err := openSecretFile("the file of --batch", path, a.stderr)
		if err != nil {
			return err
		}
		defer f.Close()
		file = f
	}
	accounts, err := a.make()
	if err != nil {
		return err
	}
	defer accounts.Close()

	var working sync.WaitGroup
	defer working.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	workers := min(runtime.GOMAXPROCS(0), maxBatchWorkers)
	work, order := make(chan *batchLine), make(chan *batchLine, workers)
	for range workers {
		working.Go(func() {
			for line := receive(ctx, work); line != nil; line = receive(ctx, work) {
				line.made <- line.make(accounts, source)
			}
		})
	}
	go func() { // which may be left behind: a read of standard input can't be called back
		defer close(order)
		defer close(work)
		for line := range batchLines(file) {
			if !send(ctx, order, line) || !send(ctx, work, line) {
				return
			}
		}
	}()

	lines, failed := 0, 0
	for line := receive(ctx, order); line != nil; line = receive(ctx, order) {
		r := receive(ctx, line.made)
		if r == nil {
			break
		}
		lines++
		if r.err == nil {
			r.err = accounts.Add(r.name, r.credential)
			if errors.Is(r.err, store.ErrExists) { // twice in the batch, or since its line was read
				r.err = taken(r.name)
			} else {
				r.hopeless = r.err != nil
			}
		}
		if r.hopeless {
			r.clear()
			return fmt.Errorf("line %d: %w; that line and those after it were not added: mend this, and give the rest again", line.number, r.err)
		}
		if r.err != nil {
			failed++
			fmt.Fprintf(a.stderr, "sim: line %d: %v\n", line.number, r.err)
		} else if err := a.sayAdded(r.name, r.secret); err != nil {
			return err
		}
		r.clear()
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed > 0:
		return fmt.Errorf("%d of %d people were not added", failed, lines)
	}
	return nil
}

// receive returns nil when the channel is closed, or ctx is done.
func receive[T any](ctx context.Context, c <-chan *T) *T {
	select {
	case v := <-c:
		return v
	case <-ctx.Done():
		return nil
	}
}

// send is false when ctx is done.
func send[T any](ctx context.Context, c chan<- *T, v *T) bool {
	select {
	case c <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *administration) sayAdded(name proto.Name, s secret) error {
	done := fmt.Sprintf("the batch has ended early: %s was added", name)
	if s.code {
		return a.say(done, "%s\t%s\n", name, s.text)
	}
	return a.say(done, "= added %s\n", name)
}

var errBatchLine = fmt.Errorf("the line is longer than %d bytes", maxBatchLine)

// batchLines yields the lines of a file that are not empty. The last one may be an error of reading.
func batchLines(file io.Reader) func(yield func(*batchLine) bool) {
	return func(yield func(*batchLine) bool) {
		r := bufio.NewReaderSize(file, maxBatchLine)
		for number := 1; ; number++ {
			text, err := r.ReadSlice('\n')
			line := &batchLine{number: number, made: make(chan *batchResult, 1)}
			if errors.Is(err, bufio.ErrBufferFull) {
				line.err = errBatchLine
				for errors.Is(err, bufio.ErrBufferFull) {
					clear(text)
					text, err = r.ReadSlice('\n')
				}
			} else if err != nil && err != io.EOF {
				line.err = fmt.Errorf("the rest of the file can't be read: %w", err)
			} else {
				if number == 1 {
					text = bytes.TrimPrefix(text, []byte("\ufeff")) // of an editor that marks its files
				}
				line.text = bytes.Clone(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\r'}))
			}
			clear(text)
			if (len(line.text) > 0 || line.err != nil) && !yield(line) || err != nil {
				return
			}
		}
	}
}

// make does all that can be done for a line before its turn comes.
func (l *batchLine) make(accounts simserver.Accounts, source secretSource) *batchResult {
	r := new(batchResult)
	defer clear(l.text)
	if l.err != nil {
		r.err = l.err
		return r
	}
	name, line, found := bytes.Cut(l.text, []byte{'\t'})
	switch {
	case source.invite && found:
		r.err = errors.New("with --invite a line is a name alone")
	case !source.invite && !found:
		r.err = errors.New("a line is a name, a tab and the password")
	}
	if r.err != nil {
		return r
	}
	if r.name, r.err = proto.ParseName(string(name)); r.err != nil {
		what := "what stands before the tab"
		if source.invite {
			what = "the line"
		}
		r.err = errors.New(what + " is no name: it has 1 to 32 of a-z 0-9 . _ -, the first a letter or digit")
		return r
	}
	if r.err = mayBeAdded(r.name); r.err != nil {
		return r
	}
	// What costs nothing is found first; whether the name is still free then, storing it tells.
	if _, _, known, err := accounts.Salt(r.name); err != nil || known {
		if r.err, r.hopeless = err, err != nil; known {
			r.err = taken(r.name)
		}
		return r
	}
	if source.invite {
		r.secret = source.newCode()
	} else if r.secret.text, r.err = source.prepare(line, r.name); r.err != nil {
		return r
	}
	r.credential, r.err = credential(accounts, r.name, r.secret)
	return r
}
