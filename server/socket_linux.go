package server

import (
	"syscall"
	"time"
	"unsafe"
)

// tryRead reads what is there.
func (s *rawSocket) tryRead(in *intake) error {
	s.once = true
	defer func() { s.once = false }()
	return s.read(in)
}

// None of these calls waits, since the socket does not block. So the scheduler need not be told of them: that would cost as much as a fifth of a text.

func readNow(fd uintptr, b []byte) (int, error) { return callNow(syscall.SYS_READ, fd, b) }

func writeNow(fd uintptr, b []byte) (int, error) { return callNow(syscall.SYS_WRITE, fd, b) }

func callNow(call, fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// pollNow returns how many events of an epoll instance there are, and puts them into events.
func pollNow(epoll uintptr, events []syscall.EpollEvent) int {
	const timeout, mask = 0, 0
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), timeout, mask, 0)
	if errno != 0 { // none is possible: it does not wait, and so nothing interrupts it
		return 0
	}
	return int(n)
}

const epollEdge = 1 << 31 // EPOLLET, which package syscall has as a negative number

// newClock returns a timer's descriptor, which can be read when its time is over.
func newClock() (fd int, err error) {
	const monotonic = 1
	n, _, errno := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// startClock sets a timer's time.
func startClock(fd int, d time.Duration) {
	var spec struct{ interval, value syscall.Timespec }
	spec.value = syscall.NsecToTimespec(int64(d))
	syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}
