package qemu

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Copy is a disk of a machine, by the path of its image, and an image that
// takes its content: a raw file as large, without content.
type Copy struct{ From, To string }

// copyPrefix begins the names of jobs and nodes that are ours.
const copyPrefix = "cimimove-"

// copyPoll is how often a job is looked at.
const copyPoll = 50 * time.Millisecond

type job struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Error  string `json:"error"`
}

func (j job) ended() bool { return j.Status == "concluded" || j.Status == "null" }

// CopyDisks copies disks as they all are at one moment, while the machine runs
// on: what it overwrites meanwhile is copied first (blockdev-backup). When ctx
// ends, so does the copying.
func (m *Machine) CopyDisks(ctx context.Context, copies []Copy) (err error) {
	m.copying.Lock()
	defer m.copying.Unlock()
	own := context.WithoutCancel(ctx) // a command that is broken off ends the connection
	if err := m.clearCopies(own); err != nil {
		return err
	}
	devices, err := m.devices(own)
	if err != nil {
		return err
	}
	defer func() {
		if !errors.Is(err, ErrEnded) {
			err = errors.Join(err, m.clearCopies(own))
		}
	}()
	var tag [6]byte
	rand.Read(tag[:])
	var actions []map[string]any
	var nodes []string
	for i, c := range copies {
		device, ok := devices[c.From]
		if !ok {
			return fmt.Errorf("qemu: the machine has no disk %s", c.From)
		}
		node := fmt.Sprintf("%s%s-%d", copyPrefix, hex.EncodeToString(tag[:]), i)
		if err := m.execute(own, "blockdev-add", map[string]any{"driver": "raw", "node-name": node, "discard": "unmap", "detect-zeroes": "unmap",
			"file": map[string]any{"driver": "file", "filename": c.To}}, nil); err != nil {
			return err
		}
		nodes = append(nodes, node)
		actions = append(actions, map[string]any{"type": "blockdev-backup", "data": map[string]any{
			"job-id": node, "device": device, "target": node, "sync": "full", "auto-dismiss": false}})
	}
	if err := m.execute(own, "transaction", map[string]any{"actions": actions}, nil); err != nil {
		return err
	}
	for {
		jobs, err := m.copyJobs(own)
		if err != nil {
			return err
		}
		left := len(nodes)
		for _, j := range jobs {
			if j.ended() && j.Error != "" {
				return fmt.Errorf("qemu: copying a disk: %s", j.Error)
			}
			if j.ended() {
				left--
			}
		}
		if left == 0 || len(jobs) < len(nodes) {
			if len(jobs) < len(nodes) {
				return errors.New("qemu: copying a disk: the job is gone")
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(copyPoll):
		}
	}
}

// copyJobs are ours.
func (m *Machine) copyJobs(ctx context.Context) ([]job, error) {
	var all, out []job
	if err := m.execute(ctx, "query-jobs", nil, &all); err != nil {
		return nil, err
	}
	for _, j := range all {
		if strings.HasPrefix(j.ID, copyPrefix) {
			out = append(out, j)
		}
	}
	return out, nil
}

// clearCopies ends the jobs that are ours, those of a process that died too,
// and lets go of the images they wrote.
func (m *Machine) clearCopies(ctx context.Context) error {
	for began := time.Now(); ; {
		jobs, err := m.copyJobs(ctx)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			break
		}
		for _, j := range jobs {
			command := "job-cancel"
			if j.ended() {
				command = "job-dismiss"
			}
			// It may have gone on meanwhile: what is left is looked at again.
			if err := m.execute(ctx, command, map[string]any{"id": j.ID}, nil); errors.Is(err, ErrEnded) {
				return err
			}
		}
		if time.Since(began) > answerTimeout {
			return fmt.Errorf("qemu: the copy %s does not end", jobs[0].ID)
		}
		time.Sleep(copyPoll / 5)
	}
	var nodes []struct {
		Name string `json:"node-name"`
	}
	if err := m.execute(ctx, "query-named-block-nodes", map[string]any{"flat": true}, &nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		if strings.HasPrefix(n.Name, copyPrefix) {
			if err := m.execute(ctx, "blockdev-del", map[string]any{"node-name": n.Name}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// devices are the machine's disks by the path of their image.
func (m *Machine) devices(ctx context.Context) (map[string]string, error) {
	var blocks []struct {
		Device   string `json:"device"`
		Inserted *struct {
			File string `json:"file"`
		} `json:"inserted"`
	}
	if err := m.execute(ctx, "query-block", nil, &blocks); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, b := range blocks {
		if b.Inserted != nil {
			out[b.Inserted.File] = b.Device
		}
	}
	return out, nil
}
