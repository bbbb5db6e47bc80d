package vctest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestSearchWhileFilesGo: a search tells of the files that are there while others
// come and go beside it.
func TestSearchWhileFilesGo(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	v := New(t, Options{})
	ctx := context.Background()
	ds, err := find.NewFinder(v.client).Datastore(ctx, "/DC0/datastore/LocalDS_0")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(v.model.Map().Get(ds.Reference()).(*simulator.Datastore).Summary.Url, "records")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	touch := func(name string) string {
		place := filepath.Join(dir, name)
		if err := os.WriteFile(place, nil, 0o644); err != nil {
			t.Error(err)
		}
		return place
	}
	touch("kept")
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-stopped }()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				os.Remove(touch("gone"))
			}
		}
	}()
	browser, err := ds.Browser(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		task, err := browser.SearchDatastore(ctx, ds.Path("records"), &types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{"k*", "g*"}})
		if err != nil {
			t.Fatal(err)
		}
		info, err := task.WaitForResult(ctx)
		if err != nil {
			t.Fatal(err)
		}
		res, ok := info.Result.(types.HostDatastoreBrowserSearchResults)
		if !ok || len(res.File) == 0 || res.File[len(res.File)-1].GetFileInfo().Path != "kept" {
			t.Fatalf("%+v", info.Result)
		}
	}
}
