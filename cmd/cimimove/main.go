// Command cimimove moves workloads between clouds: OVF packages in and out
// (DSP0243), Systems from one CIMI cloud to another (DSP0263).
//
// This folder only parses and prints. Standard output is the result and
// nothing else; progress, logs and prompts go to standard error; the exit code
// says what kind of end it was (package migrate, ExitCode).
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/cimimove/cimimove/ovf/disk"
)

// collectAt is how much garbage there may be beside what is in use, in percent.
// Most of what is in use are buffers, in which the collector has nothing to look
// for. With 40 a server that takes four disks at a time peaked at 129 MiB, with 20
// it does at 109.
const collectAt = 20

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		disk.SpareProcessor()
	}
	forgetStartup()
	ctx, stop := interruptible(context.Background())
	defer stop()
	os.Exit(run(ctx, os.Args, newInterruptibleReader(ctx, os.Stdin), os.Stdout, os.Stderr))
}

// interruption is the cause of a context that a signal ended.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string {
	if i.signal == syscall.SIGTERM {
		return "terminated"
	}
	return "interrupted"
}

// code is the exit code a shell expects: 130 for SIGINT, 143 for SIGTERM.
func (i interruption) code() int { return 128 + int(i.signal) }

// interruptible ends the context at the first SIGINT or SIGTERM, so that work
// stops at a safe edge; a second one ends the process at once.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s, ok := <-signals
		if !ok {
			return
		}
		cause := interruption{s.(syscall.Signal)}
		cancel(cause)
		if _, ok := <-signals; ok {
			os.Exit(cause.code())
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}
