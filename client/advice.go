package client

import (
	"fmt"

	"sim/proto"
)

// advice is what a person can do about an outcome, by its reason; %[1]s is the other side. Commands in what people are told to do have a slash,
// with which they are commands whoever is talked to.
var advice = map[string]string{
	"offline":         "%[1]s is not logged in, and the server keeps nothing for later: after /watch %[1]s you hear when they come",
	"logged out":      "%[1]s has logged out, and the server keeps nothing for later: after /watch %[1]s you hear when they come",
	"no answer":       "%[1]s is logged in, but no answer came from their client: try again in a while, or reach them another way",
	"declined":        "%[1]s's client takes no more conversations now: try again in a while",
	noLongerConfirmed: "this was written to the %[1]s whose digits you compared, and was not sent: /verify %[1]s and compare again, or send it once more as it is",
	"the other client speaks no common version": "one of the two clients is older than the other: get the same",
}

const (
	adviceTarget  = "the server keeps nothing for later: you hear when %[1]s comes"
	adviceUnknown = "nobody can say whether %[1]s has seen this: ask them, and send it again if need be"
)

// advise says at a terminal what to do about an outcome, the first time that it comes in a session.
func (r *runner) advise(to proto.Name, o outcome) {
	text := advice[o.why]
	switch {
	case o.end == unknown:
		text = adviceUnknown
	case o.why == "offline" && to == r.target: // who is watched
		text = adviceTarget
	}
	if r.ordered() || o.end == delivered || text == "" || r.session == nil || r.advised[text] {
		return
	}
	r.advised[text] = true
	r.results()
	r.ui.say(saidHint{fmt.Sprintf(text, to)})
}
