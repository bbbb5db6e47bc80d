package migrate

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

var (
	// ErrNoSystem: the cloud has no such System.
	ErrNoSystem = errors.New("no such System")
	// ErrAmbiguous: several Systems have the name.
	ErrAmbiguous = errors.New("several Systems have that name")
	// ErrNoSystems: the cloud offers no Systems.
	ErrNoSystems = errors.New("the cloud offers no Systems")
)

// listAll reads a collection whole; an empty name is that of a collection which
// the cloud does not offer.
func listAll(ctx context.Context, p cimi.Provider, collection string, filter ...string) ([]cimi.Resource, error) {
	var out []cimi.Resource
	for r, err := range cimi.All(ctx, p, collection, cimi.ListOptions{Filter: filter}) {
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// systemsOf is the href of the cloud's collection of Systems.
func systemsOf(ctx context.Context, e Endpoint) (*cimi.CloudEntryPoint, string, error) {
	cep, err := e.Provider.EntryPoint(ctx)
	if err != nil {
		return nil, "", err
	}
	if cep.Systems == nil || cep.Systems.Href == "" {
		return cep, "", ErrNoSystems
	}
	return cep, cep.Systems.Href, nil
}

// FindSystem finds a System by its CIMI id, its path below the entry point, or
// its name where that is unique. What is not found or not unique is an *Error
// of class 5 that names candidates.
func FindSystem(ctx context.Context, e Endpoint, side Side, what string) (*cimi.System, error) {
	cep, href, err := systemsOf(ctx, e)
	if errors.Is(err, ErrNoSystems) {
		return nil, refuse(StepDiscover, side, e.Name, err, "")
	}
	if err != nil {
		return nil, at(StepDiscover, side, e.Name, err)
	}
	named, err := byName(ctx, e, href, what)
	if err != nil {
		return nil, at(StepDiscover, side, e.Name, err)
	}
	if len(named) > 1 {
		ids := make([]string, len(named))
		for i, s := range named {
			ids[i] = s.ID
		}
		return nil, refuse(StepDiscover, side, what, fmt.Errorf("%w: %s", ErrAmbiguous, strings.Join(ids, ", ")), "name it by its id")
	}
	if len(named) == 1 {
		return getSystem(ctx, e, side, named[0].ID)
	}
	if strings.Contains(what, "/") {
		// An id, perhaps of a nested System, which is not in the entry point's
		// collection: nobody has to look through all Systems for it.
		s, err := getSystem(ctx, e, side, what)
		if err == nil || !cimi.IsNotFound(err) && !errors.Is(err, ErrNoSystem) {
			return s, err
		}
	}
	all, err := systems(ctx, e, href)
	if err != nil {
		return nil, at(StepDiscover, side, e.Name, err)
	}
	var names []string
	for _, s := range all {
		if sameID(cep.BaseURI, s.ID, what) {
			return getSystem(ctx, e, side, s.ID)
		}
		names = append(names, s.Name)
	}
	return nil, refuse(StepDiscover, side, what, ErrNoSystem, candidates(names))
}

func getSystem(ctx context.Context, e Endpoint, side Side, id string) (*cimi.System, error) {
	r, err := e.Provider.Get(ctx, id, cimi.ReadOptions{})
	if err != nil {
		return nil, at(StepDiscover, side, id, err)
	}
	s, ok := r.(*cimi.System)
	if !ok {
		return nil, refuse(StepDiscover, side, id, fmt.Errorf("%w: it is a %s", ErrNoSystem, r.TypeName()), "")
	}
	return s, nil
}

func systems(ctx context.Context, e Endpoint, href string, filter ...string) ([]*cimi.System, error) {
	all, err := listAll(ctx, e.Provider, href, filter...)
	if err != nil {
		return nil, err
	}
	var out []*cimi.System
	for _, r := range all {
		if s, ok := r.(*cimi.System); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// byName lists the Systems of a name. Clouds may ignore $filter (4.1.6), so
// the answer is checked.
func byName(ctx context.Context, e Endpoint, href, name string) ([]*cimi.System, error) {
	var filter []string
	if !strings.ContainsAny(name, `'"\`) {
		filter = []string{"name='" + name + "'"}
	}
	all, err := systems(ctx, e, href, filter...)
	if err != nil && len(filter) > 0 && cimi.StatusOf(err) == 400 {
		all, err = systems(ctx, e, href)
	}
	if err != nil {
		return nil, err
	}
	var out []*cimi.System
	for _, s := range all {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out, nil
}

// sameID compares ids in the forms a cloud and a user write them: absolute,
// relative to baseURI, as a path of the host, or only the last part.
func sameID(base, id, what string) bool {
	if what == "" {
		return false
	}
	if what = strings.TrimPrefix(what, "./"); !strings.Contains(what, "/") {
		return id[strings.LastIndexByte(id, '/')+1:] == what
	}
	for _, form := range []string{id, strings.TrimPrefix(id, base), pathOf(id)} {
		if form != "" && strings.Trim(form, "/") == strings.Trim(what, "/") {
			return true
		}
	}
	return false
}

func pathOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	return u.Path
}

// maxCandidates bounds what an error lists.
const maxCandidates = 12

func candidates(names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	more := ""
	if n := len(names) - maxCandidates; n > 0 {
		names, more = names[:maxCandidates], fmt.Sprintf(" and %d more", n)
	}
	return "there are " + strings.Join(names, ", ") + more
}

// ListSystems lists the Systems of a cloud; filter is a $filter (DSP0263
// 4.1.6.1), empty for all. Clouds may ignore it, so the answer is checked.
func ListSystems(ctx context.Context, e Endpoint, filter string) ([]*cimi.System, error) {
	_, href, err := systemsOf(ctx, e)
	if err != nil {
		return nil, at(StepDiscover, Source, e.Name, err)
	}
	if filter == "" {
		all, err := systems(ctx, e, href)
		return all, at(StepDiscover, Source, e.Name, err)
	}
	f, err := cimi.ParseFilter(filter)
	if err != nil {
		return nil, &Error{Step: StepDiscover, Class: ClassUsage, Side: Source, Object: filter, Err: err}
	}
	all, err := systems(ctx, e, href, filter)
	if cimi.StatusOf(err) == 400 {
		all, err = systems(ctx, e, href)
	}
	if err != nil {
		return nil, at(StepDiscover, Source, e.Name, err)
	}
	var out []*cimi.System
	for _, s := range all {
		if f.Match(s) {
			out = append(out, s)
		}
	}
	return out, nil
}
