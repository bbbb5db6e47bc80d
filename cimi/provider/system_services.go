package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// createService makes a SystemService of a System (5.13.3.1.2).
func (p *Provider) createService(ctx context.Context, collection string, r *cimi.SystemService) (*cimi.Accepted, error) {
	pl := p.newPlan()
	s, err := pl.systemService(collection, r)
	if err != nil {
		return nil, err
	}
	return p.acceptPlan(ctx, pl, collection, s.ID)
}

func (pl *plan) systemService(collection string, r *cimi.SystemService) (*cimi.SystemService, error) {
	typ := strings.TrimSuffix(r.ServiceType, "/")
	if typ == strings.TrimSuffix(cimi.ServiceReliabilityActive, "/active") { // as 5.13.6.1 spells it
		typ = cimi.ServiceReliabilityPassive
	}
	if !strings.HasPrefix(typ, cimi.Namespace+"/SystemService/") {
		return nil, cimi.Errorf(http.StatusBadRequest, "serviceType: expected %s/SystemService/…, got %.200q (T10)", cimi.Namespace, r.ServiceType)
	}
	if !slices.Contains([]string{cimi.ServiceReliabilityActive, cimi.ServiceReliabilityPassive, cimi.ServiceDisasterRecovery}, typ) {
		return nil, cimi.Errorf(http.StatusBadRequest, "serviceType: this cloud offers high reliability and disaster recovery, not %.200q", r.ServiceType)
	}
	s := &cimi.SystemService{ServiceType: typ, Parameters: r.Parameters}
	named(&s.Common, r)
	adopt("services", collection, s)
	pl.c.put("services", s)
	pl.c.link(pl.p, collection, s.ID, extra{})
	pl.made = append(pl.made, s)
	return s, nil
}

// isReliability: the service keeps backup Machines (5.13.3.1); isRecovery: it
// manages recoverable ones.
func isReliability(_ *Provider, _ *world, s subject) bool {
	r, ok := s.r.(*cimi.SystemService)
	return ok && (r.ServiceType == cimi.ServiceReliabilityActive || r.ServiceType == cimi.ServiceReliabilityPassive)
}

func isRecovery(p *Provider, w *world, s subject) bool {
	r, ok := s.r.(*cimi.SystemService)
	return isReliability(p, w, s) || ok && r.ServiceType == cimi.ServiceDisasterRecovery
}

// reliability tells whether the entries of a service's machines have backups.
func (p *Provider) reliability(ctx context.Context, service string) bool {
	r, err := p.db.get(ctx, service)
	return err == nil && r != nil && isReliability(p, nil, subject{r: r})
}

// node is the Machine that an operation of a service names: one of its System.
func (p *Provider) node(ctx context.Context, s subject, ref *cimi.Ref[cimi.Machine], what string) (string, error) {
	id := plainID(cimi.HrefOf(ref))
	key, ok := strings.CutPrefix(id, "machines/")
	if !ok {
		return "", cimi.Errorf(http.StatusBadRequest, "%s: missing, or no Machine", what)
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	owner, _, _, _ := ownerOf(plainID(cimi.HrefOf(s.r.Base().Parent)))
	system := w.system[lastWord(owner)]
	if system.System == nil {
		return "", cimi.Errorf(http.StatusConflict, "%s belongs to no System", s.id)
	}
	if !slices.ContainsFunc(w.machinesOf(system.System), func(m machineAt) bool { return m.ID == key }) {
		return "", cimi.Errorf(http.StatusBadRequest, "%s: %s is no Machine of the System", what, id)
	}
	return id, nil
}

// entryOf is the entry of a service for a Machine.
func (p *Provider) entryOf(s subject, node string) (link, error) {
	for _, l := range p.links.of(s.id + "/machines") {
		if l.member == node {
			return l, nil
		}
	}
	return link{}, cimi.Errorf(http.StatusBadRequest, "node: %s is not managed by %s", node, s.id)
}

// addRecoverable is the addRM action: a Machine comes under the service; high
// reliability gives it a backup Machine, a copy unless one is named.
func (p *Provider) addRecoverable(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	node, err := p.node(ctx, s, a.Node, "node")
	if err != nil {
		return nil, err
	}
	if p.links.has(s.id+"/machines", node) {
		return nil, cimi.Errorf(http.StatusConflict, "node: %s is managed by %s already", node, s.id)
	}
	if !isReliability(p, nil, s) {
		if a.Backup != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "backup: means nothing to this service")
		}
		c := &change{}
		c.link(p, s.id+"/machines", node, extra{})
		return p.accept(ctx, c, a.Action, s.id, "", nil)
	}
	if a.Backup != nil {
		backup, err := p.node(ctx, s, a.Backup, "backup")
		if err != nil {
			return nil, err
		}
		if backup == node {
			return nil, cimi.Errorf(http.StatusBadRequest, "backup: a Machine is no backup of itself")
		}
		c := &change{}
		c.link(p, s.id+"/machines", node, extra{Backup: backup})
		return p.accept(ctx, c, a.Action, s.id, "", nil)
	}
	return p.run(ctx, a.Action, s.id, "", func(ctx context.Context, t *task) error {
		backup, pl, err := p.copyOf(ctx, node)
		if err != nil {
			return err
		}
		pl.c.link(p, s.id+"/machines", node, extra{Backup: backup})
		t.affect("", node, backup)
		return pl.finish(ctx)
	})
}

// copyOf makes a copy of a Machine beside it, and gives its id and the plan to
// be finished.
func (p *Provider) copyOf(ctx context.Context, node string) (string, *plan, error) {
	key := lastWord(node)
	w, done, err := p.look(ctx)
	if err != nil {
		return "", nil, err
	}
	m, ok := w.machine[key]
	var disks []attached
	if ok {
		disks = w.attachedTo(m)
	}
	done()
	switch {
	case !ok:
		return "", nil, notFound(node)
	case m.State != host.Stopped:
		return "", nil, cimi.Errorf(http.StatusConflict, "%s: %w: stop it first, so that its copy is whole", node, host.ErrBusy)
	}
	pl := p.newPlan()
	into := &host.System{}
	c := copyMachine(pl, into, m.Machine, disks)
	c.Name = m.Name + "-backup"
	for i := range c.NICs {
		c.NICs[i].MAC = "" // the same address twice would disturb the network
	}
	shown := &cimi.Machine{}
	shown.ID, shown.Name = "machines/"+c.ID, c.Name
	pl.made = append(pl.made, shown)
	pl.root, pl.inside, pl.machines = m.root.ID, m.in.ID, into.Machines
	return "machines/" + c.ID, pl, nil
}

// finish puts what a plan makes into the System it is for, and commits.
func (pl *plan) finish(ctx context.Context) error {
	defer pl.p.changes.lock(pl.root)()
	if _, err := pl.p.maker().Alter(ctx, pl.root, pl.disks, pl.fill, func(s *host.System) error {
		k := systemIn(s, pl.inside)
		if k == nil {
			return host.ErrNotFound
		}
		k.Disks = append(k.Disks, pl.disks...)
		k.Machines = append(k.Machines, pl.machines...)
		return nil
	}); err != nil {
		return err
	}
	if err := pl.settle(ctx, nil); err != nil {
		return errors.Join(err, pl.takeBack(context.WithoutCancel(ctx), pl.root))
	}
	return nil
}

// removeRecoverable is the removeRM action: the Machine is managed no more, its
// backup is discarded.
func (p *Provider) removeRecoverable(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	node := plainID(cimi.HrefOf(a.Node))
	l, err := p.entryOf(s, node)
	if err != nil {
		return nil, err
	}
	return p.run(ctx, a.Action, s.id, "", func(ctx context.Context, t *task) error {
		c := &change{}
		c.unlink(p, s.id+"/machines", node)
		if err := p.commit(c); err != nil {
			return err
		}
		if l.extra.Backup == "" {
			return nil
		}
		t.affect("", node)
		acc, err := p.delete(ctx, l.extra.Backup)
		if cimi.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = p.waitFor(ctx, acc)
		return err
	})
}

// forceSync is the forceSync action: the backup of a Machine becomes what the
// Machine is now.
func (p *Provider) forceSync(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.withBackup(ctx, s, a, func(ctx context.Context, node string, l link) error {
		return p.sync(ctx, lastWord(node), lastWord(l.extra.Backup))
	})
}

// withBackup runs an action on the Machine that it names and its backup.
func (p *Provider) withBackup(ctx context.Context, s subject, a *cimi.Action, act func(ctx context.Context, node string, l link) error) (*cimi.Accepted, error) {
	node := plainID(cimi.HrefOf(a.Node))
	l, err := p.entryOf(s, node)
	if err != nil {
		return nil, err
	}
	if l.extra.Backup == "" {
		return nil, cimi.Errorf(http.StatusConflict, "%s has no backup", node)
	}
	return p.run(ctx, a.Action, s.id, "", func(ctx context.Context, t *task) error {
		t.affect("", node, l.extra.Backup)
		return act(ctx, node, l)
	})
}

// sync gives a backup Machine the hardware and content of its primary.
func (p *Provider) sync(ctx context.Context, primary, backup string) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	m, ok := w.machine[primary]
	var disks []attached
	if ok {
		disks = w.attachedTo(m)
	}
	b, there := w.machine[backup]
	done()
	switch {
	case !ok:
		return notFound("machines/" + primary)
	case !there:
		return notFound("machines/" + backup)
	case m.State != host.Stopped:
		return cimi.Errorf(http.StatusConflict, "machines/%s: %w: stop it first, so that its copy is whole", primary, host.ErrBusy)
	}
	defer p.changes.lock(b.root.ID)()
	pl := p.newPlan()
	src := &imageSource{machine: m.Machine}
	for _, d := range disks {
		src.disks = append(src.disks, pl.heldDisk(d.Disk, d.at.Boot))
	}
	return p.restore(ctx, pl, backup, src)
}

// swapBackup is the swapBackup action: the backup takes the place of the
// Machine, which becomes the backup.
func (p *Provider) swapBackup(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.withBackup(ctx, s, a, func(ctx context.Context, _ string, l link) error { return p.swap(ctx, s.id, l) })
}

// swap exchanges a Machine and its backup: a running one is stopped and the
// other started in its place.
func (p *Provider) swap(ctx context.Context, service string, l link) error {
	state, err := p.powerState(ctx, lastWord(l.member))
	if err != nil {
		return err
	}
	if state != host.Stopped {
		if err := p.power(ctx, lastWord(l.member), cimi.ActionStop, state == host.Failed); err != nil {
			return err
		}
		if err := p.power(ctx, lastWord(l.extra.Backup), cimi.ActionStart, false); err != nil {
			return err
		}
	}
	c := &change{}
	c.unlink(p, service+"/machines", l.member)
	c.link(p, service+"/machines", l.extra.Backup, extra{Backup: l.member})
	return p.commit(c)
}

// failed recovers a Machine that the host says has failed, where a service of
// high reliability keeps a backup of it.
func (p *Provider) failed(machine string) {
	node := "machines/" + machine
	for _, in := range p.links.holding(node) {
		service, ok := strings.CutSuffix(in, "/machines")
		if !ok || !strings.HasPrefix(service, "services/") {
			continue
		}
		for _, l := range p.links.of(in) {
			if l.member == node && l.extra.Backup != "" {
				_, _ = p.jobs.start(context.Background(), cimi.ActionSwapBackup, service, func(ctx context.Context, t *task) error {
					t.affect("", node, l.extra.Backup)
					return p.swap(ctx, service, l)
				})
			}
		}
	}
}

// symbols reads the symbolic references of a service descriptor (T15): a JSON
// array, or words.
func symbols(s string) []string {
	var out []string
	if json.Unmarshal([]byte(s), &out) == nil {
		return out
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
}
