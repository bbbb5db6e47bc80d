package vctest

import (
	"os"
	"path"
	"path/filepath"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// SearchDatastoreTask lists the files of one folder by name. The simulator's
// panics when a file goes away between its listing and a look at it, as one does
// while two clients work in one folder.
func (o *overrides) SearchDatastoreTask(ctx *simulator.Context, req *types.SearchDatastore_Task) soap.HasFault {
	task := simulator.CreateTask(o, "searchDatastore", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return o.v.filesIn(req)
	})
	return &methods.SearchDatastore_TaskBody{Res: &types.SearchDatastore_TaskResponse{Returnval: task.Run(ctx)}}
}

func (v *VCenter) filesIn(req *types.SearchDatastore_Task) (types.AnyType, types.BaseMethodFault) {
	var at object.DatastorePath
	if !at.FromString(req.DatastorePath) {
		return nil, &types.InvalidDatastorePath{DatastorePath: req.DatastorePath}
	}
	dir := v.folderOf(req.This, at)
	if dir == "" {
		return nil, &types.InvalidDatastore{Name: at.Datastore}
	}
	files, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, &types.FileNotFound{FileFault: types.FileFault{File: at.Path}}
	}
	if err != nil {
		return nil, &types.InvalidArgument{InvalidProperty: at.Path}
	}
	res := types.HostDatastoreBrowserSearchResults{FolderPath: req.DatastorePath}
	for _, f := range files {
		for _, pattern := range req.SearchSpec.MatchPattern {
			if ok, _ := path.Match(pattern, f.Name()); ok {
				res.File = append(res.File, &types.FileInfo{Path: f.Name()})
				break
			}
		}
	}
	return res, nil
}

// folderOf is where the folder lies for one browser; each datacenter may have a
// datastore of that name.
func (v *VCenter) folderOf(browser types.ManagedObjectReference, at object.DatastorePath) string {
	b, ok := v.model.Map().Get(browser).(*simulator.HostDatastoreBrowser)
	if !ok {
		return ""
	}
	for _, ref := range b.Datastore {
		if ds, ok := v.model.Map().Get(ref).(*simulator.Datastore); ok && ds.Name == at.Datastore {
			return filepath.Join(ds.Summary.Url, filepath.FromSlash(at.Path))
		}
	}
	return ""
}
