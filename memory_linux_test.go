package main

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  uint64 // 0 for none
	}{
		{"no groups", nil, 0},
		{"none is set", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "104857600\n"}, 100 << 20},
		{"a container that sees the host's path", map[string]string{"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/memory.max": "104857600\n"}, 100 << 20},
		{"a unit in a slice that has less", map[string]string{
			"proc/self/cgroup": "0::/system.slice/sim.service\n",
			"sys/fs/cgroup/system.slice/sim.service/memory.max": "209715200\n",
			"sys/fs/cgroup/system.slice/memory.max":             "104857600\n",
		}, 100 << 20},
		{"the first version", map[string]string{
			"proc/self/cgroup":                             "9:name=systemd:/\n4:memory:/a\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "104857600\n",
		}, 100 << 20},
		{"the first version, none is set", map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		{"nonsense", map[string]string{"proc/self/cgroup": "0:\n\n0::../..\n", "sys/fs/cgroup/memory.max": "many\n"}, 0},
	} {
		root := fstest.MapFS{}
		for name, content := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(content)}
		}
		got, ok := memoryLimit(root)
		if ok != (c.want > 0) || ok && got != c.want {
			t.Errorf("%s: %d, %v", c.name, got, ok)
		}
	}
}
