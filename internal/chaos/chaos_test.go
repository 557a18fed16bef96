package chaos

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		alice, bob string // what they told
		want       Verdict
	}{
		"all is well":    {"= bob: delivered\n= bob: delivered\n* reconnecting …\n* connected again", "< alice: 0 x\n< alice: 1", Verdict{}},
		"honest":         {"= bob: unknown: connection lost\n= bob: failed: offline", "", Verdict{}},
		"honest, too":    {"= bob: unknown: connection lost\n= bob: delivered", "< alice: 0\n< alice: 1", Verdict{}},
		"silence":        {"= bob: delivered", "< alice: 0 x", Verdict{Silent: 1}},
		"lost":           {"= bob: delivered\n= bob: delivered", "< alice: 1", Verdict{Lost: 1}},
		"a lie":          {"= bob: failed: offline\n= bob: nonsense: x", "< alice: 0", Verdict{Untrue: 2}},
		"one too many":   {"= bob: delivered\n= bob: delivered\n= bob: unknown: x", "< alice: 0\n< alice: 1", Verdict{Untrue: 1}},
		"twice":          {"= bob: delivered\n= bob: delivered", "< alice: 0\n< alice: 1\n< alice: 0", Verdict{Twice: 1}},
		"in what order?": {"= bob: delivered\n= bob: delivered", "< alice: 1\n< alice: 0", Verdict{Misordered: 1}},
	} {
		var alice, bob Witness
		for w, told := range map[*Witness]string{&alice: c.alice, &bob: c.bob} {
			for line := range strings.Lines(told) {
				line = strings.TrimSpace(line)
				if err := w.Hear(line); err != nil {
					t.Error(name, err)
				}
			}
		}
		if got := alice.Judge(2, &bob); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, line := range []string{"< alice: no number", "* server is stopping", "", "panic"} {
		if new(Witness).Hear(line) == nil {
			t.Errorf("%q was heard", line)
		}
	}
}

func TestTexts(t *testing.T) {
	for asked, want := range map[string]int{"": 7, "10000": 500, "20": 1, "19": 0, "many": 0} {
		if n, err := Texts(asked, 10, 7); n != want || (err != nil) != (want == 0) {
			t.Error(asked, n, err)
		}
	}
}
