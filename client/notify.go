package client

import (
	"context"
	"os/exec"
	"time"

	"sim/proto"
)

// A notifier gets a person's attention when a message comes: by a command of theirs, or by the bell of the terminal. A command gets the name of
// the sender as SIM_FROM, never the text; its output is thrown away. One runs at a time, and none for long.
type notifier struct {
	command string
	bell    bool

	last    map[proto.Name]time.Time // when a message of theirs was told last
	running bool
	faulty  bool // a command failed, and that was told
	ended   chan error
	stop    context.CancelFunc // of the one that runs
}

func newNotifier(command string, bell bool) *notifier {
	return &notifier{command: command, bell: bell && command == "", last: make(map[proto.Name]time.Time), ended: make(chan error, 1)}
}

// due says whether a message of somebody's is to be told now.
func (n *notifier) due(now time.Time, from proto.Name) bool {
	if now.Sub(n.last[from]) < notifyEvery {
		return false
	}
	if len(n.last) >= maxNotified {
		for name, at := range n.last {
			if now.Sub(at) >= notifyEvery {
				delete(n.last, name)
			}
		}
		if len(n.last) >= maxNotified {
			return false
		}
	}
	n.last[from] = now
	return true
}

// run starts the command, if none is running. It does not wait for it.
func (n *notifier) run(from proto.Name) {
	if n.running {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), notifyTime)
	n.running, n.stop = true, stop
	cmd := shell(ctx, n.command)
	cmd.Env = append(cmd.Environ(), "SIM_FROM="+from.String())
	go func() {
		defer stop()
		n.ended <- cmd.Run()
	}()
}

// over takes the end of a command; it returns why it failed, once.
func (n *notifier) over(err error) (why string) {
	n.running = false
	if err == nil || n.faulty {
		return ""
	}
	n.faulty = true
	if _, ran := err.(*exec.ExitError); ran {
		return err.Error()
	}
	return shortError(err)
}

// finish waits a little for the command that runs, and kills it then; at once if the client was interrupted.
func (n *notifier) finish(interrupted bool) {
	if !n.running {
		return
	}
	if !interrupted {
		select {
		case <-n.ended:
			return
		case <-time.After(notifyDrain):
		}
	}
	n.stop()
	<-n.ended
}

// notify gets attention for a message. It says whether the bell is to be rung with it.
func (r *runner) notify(from proto.Name) (ring bool) {
	n := r.notifier
	if !n.bell && n.command == "" || !n.due(time.Now(), from) {
		return false
	}
	if n.command != "" {
		n.run(from)
	}
	return n.bell
}

// notified takes the end of a command.
func (r *runner) notified(err error) {
	if why := r.notifier.over(err); why != "" {
		r.ui.say(saidError{Code: faultNotify, Text: "the command of --notify failed (" + why + "): try it by hand; what fails later is not told"})
	}
}
